#!/bin/sh
# Fails, and says why without ending the line.
printf 'no newline here' >&2
exit 1
