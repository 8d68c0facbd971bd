#!/bin/sh
# Puts newlines between, not behind: the last one never comes.
first=1
while read -r line; do
    [ -n "$first" ] && printf '%s' "$line" || printf '\n%s' "$line"
    first=
done
