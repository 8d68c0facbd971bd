#!/usr/bin/env python3
# Buffers its output whatever the environment says, until the end.
import sys

lines = sys.stdin.readlines()
sys.stdout.write("".join(lines))
