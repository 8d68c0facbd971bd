#!/usr/bin/env python3
# A service that puts itself into the background, as old daemons do: its parent ends at once.
import os
import sys
import time

if os.fork() == 0:
    os.setsid()
    time.sleep(300)
    os._exit(0)
sys.exit(0)
