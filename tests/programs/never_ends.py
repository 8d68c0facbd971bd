#!/usr/bin/env python3
# Echoes, and stays when its stdin has ended; SIGTERM doesn't move it either.
import signal
import sys
import time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
for line in iter(sys.stdin.readline, ""):
    print(line, end="", flush=True)
while True:
    time.sleep(300)
