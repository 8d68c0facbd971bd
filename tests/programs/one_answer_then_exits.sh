#!/bin/sh
# Answers one line and is gone, content.
read -r line
echo "answer to $line"
