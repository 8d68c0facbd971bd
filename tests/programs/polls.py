#!/usr/bin/env python3
# An event loop: waits for stdin in poll, answers half a second later.
import os
import select
import time

waiting = select.poll()
waiting.register(0, select.POLLIN)
while True:
    waiting.poll()
    data = os.read(0, 65536)
    if not data:
        break
    time.sleep(0.5)
    os.write(1, data.upper())
