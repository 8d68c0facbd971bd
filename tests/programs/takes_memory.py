#!/usr/bin/env python3
# Takes half a gigabyte.
taken = bytearray(512 * 1024 * 1024)
print(len(taken))
