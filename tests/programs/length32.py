#!/usr/bin/env python3
# Answers length32 frames in capitals; some bodies make it misbehave.
import os
import sys


while True:
    head = sys.stdin.buffer.read(4)
    if not head:
        break
    body = sys.stdin.buffer.read(int.from_bytes(head, "big"))
    answer = len(body).to_bytes(4, "big") + body.upper()
    if body == b"half":
        answer = b"\0\0\1\0half"
    elif body == b"giant":
        answer = b"\xff\xff\xff\xff"
    os.write(1, answer)
    if body == b"half":
        os._exit(0)
