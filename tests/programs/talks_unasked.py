#!/usr/bin/env python3
# Says hello before anybody asked, then echoes.
import sys

print("hello", flush=True)
for line in iter(sys.stdin.readline, ""):
    print(line, end="", flush=True)
