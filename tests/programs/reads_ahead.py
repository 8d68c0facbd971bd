#!/usr/bin/env python3
# Answers only when it has seen five lines, or the end.
import sys

batch = []
for line in iter(sys.stdin.readline, ""):
    batch.append(line)
    if len(batch) == 5:
        sys.stdout.write("".join(batch))
        sys.stdout.flush()
        batch = []
sys.stdout.write("".join(batch))
