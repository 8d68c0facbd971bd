#!/usr/bin/env python3
# Starts processes until it is refused, or has a hundred; each ignores SIGTERM and waits.
import os
import signal
import sys
import time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
for number in range(100):
    try:
        child = os.fork()
    except OSError as error:
        print(f"refused after some: {number < 100}: {error.strerror}", file=sys.stderr)
        break
    if child == 0:
        time.sleep(300)
        os._exit(0)
time.sleep(300)
