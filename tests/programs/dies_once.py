#!/usr/bin/env python3
# Echoes; dies of the first line "once" it ever sees, leaving a note in its folder.
import os
import sys

for line in iter(sys.stdin.readline, ""):
    if line == "once\n" and not os.path.exists("died"):
        open("died", "w").close()
        os._exit(1)
    print(line, end="", flush=True)
