#!/usr/bin/env python3
# Forks twice into a session of its own and keeps stdin, stdout and stderr open there.
import os
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(300)
    os._exit(0)
os.wait()
print("answer")
