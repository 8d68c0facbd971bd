#!/usr/bin/env python3
# Asks with a prompt that has no newline, as programs for people do.
while True:
    try:
        print(input("> ").upper(), flush=True)
    except EOFError:
        break
