#!/usr/bin/env python3
# Prints which descriptors it was given, and which signals it was told to ignore or block.
import os

given = []
for fd in range(1024):
    try:
        os.fstat(fd)
    except OSError:
        continue
    given.append(str(fd))
status = dict(line.split(":\t", 1) for line in open("/proc/self/status"))
# Python itself ignores SIGPIPE and SIGXFSZ, the C library two of its own
ignored = {n for n in range(1, 65) if int(status["SigIgn"], 16) >> (n - 1) & 1} - {13, 25, 32, 33}
print(" ".join(given), sorted(ignored), int(status["SigBlk"], 16))
