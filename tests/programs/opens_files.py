#!/usr/bin/env python3
# Opens a hundred files.
opened = [open("/dev/null") for _ in range(100)]
print(len(opened))
