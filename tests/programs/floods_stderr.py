#!/usr/bin/env python3
# Writes 8 MB to stderr before it answers; exits as its stdin says ("exit 1").
import sys

text = sys.stdin.read()
for number in range(80_000):
    sys.stderr.write(f"{number:08} " + "x" * 90 + "\n")
print("through")
sys.stderr.write("the last words")
sys.exit(1 if "exit 1" in text else 0)
