#!/bin/sh
# Never reads its stdin, and is done before it is full.
echo done
