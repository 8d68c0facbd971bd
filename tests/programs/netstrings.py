#!/usr/bin/env python3
# Answers netstrings in capitals; some bodies make it misbehave.
import os
import sys


def take():
    digits = b""
    while (byte := sys.stdin.buffer.read(1)) != b":":
        if not byte:
            sys.exit(0)
        digits += byte
    body = sys.stdin.buffer.read(int(digits))
    assert sys.stdin.buffer.read(1) == b","
    return body


while True:
    body = take()
    answer = b"%d:%s," % (len(body), body.upper())
    if body == b"half":
        answer = b"100:half"
    elif body == b"bad":
        answer = b"this is no netstring"
    elif body == b"liar":
        answer = b"3:liar,"
    elif body == b"giant":
        answer = b"99999999999999999999:"
    os.write(1, answer)
    if body == b"half":
        os._exit(0)
