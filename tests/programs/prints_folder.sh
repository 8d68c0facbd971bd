#!/bin/sh
# Prints cwd, HOME, and what lies in cwd.
pwd
echo "$HOME"
ls -A
