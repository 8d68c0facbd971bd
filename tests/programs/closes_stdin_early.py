#!/usr/bin/env python3
# Closes stdin unread, lingers, then answers.
import os
import time

os.close(0)
time.sleep(0.3)
os.write(1, b"answer")
