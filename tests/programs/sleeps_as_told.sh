#!/bin/sh
# Its stdin says "SECONDS WORD": sleeps, then answers with the word.
read -r seconds word
sleep "$seconds"
echo "$word"
