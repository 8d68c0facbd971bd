#!/usr/bin/env python3
# Kills its own whole process group, itself included.
import os
import signal

os.killpg(0, signal.SIGKILL)
