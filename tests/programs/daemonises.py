#!/usr/bin/env python3
# Becomes a daemon by the book: a child in a session of its own, everything closed.
import os
import time

if os.fork() == 0:
    os.setsid()
    for fd in range(3):
        os.close(fd)
    time.sleep(300)
    os._exit(0)
print("answer")
