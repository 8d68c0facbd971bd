#!/usr/bin/env python3
# Writes until it is stopped, or has written 200 MB.
with open("filling", "wb") as file:
    for _ in range(200):
        file.write(bytes(1_000_000))
