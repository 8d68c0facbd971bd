#!/usr/bin/env python3
# Answers, closes stdout, and lingers: as long as its stdin says.
import os
import sys
import time

linger_s = float(sys.stdin.read())
os.write(1, b"answer")
os.close(1)
time.sleep(linger_s)
