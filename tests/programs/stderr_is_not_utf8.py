#!/usr/bin/env python3
# Fails with 20 KB of stderr that is not UTF-8, cut anywhere.
import os
import sys

os.write(2, b"\xff\xfe" + "äöü€".encode() * 2000 + b"\xc3")
sys.exit(1)
