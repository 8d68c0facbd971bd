#!/usr/bin/env python3
# Answers each line with its own process id behind it, slowly.
import os
import sys
import time

for line in iter(sys.stdin.readline, ""):
    time.sleep(0.1)
    print(line.rstrip("\n"), os.getpid(), flush=True)
