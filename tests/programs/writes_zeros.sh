#!/bin/sh
# Writes as many bytes as its stdin says.
read -r count
exec head -c "$count" /dev/zero
