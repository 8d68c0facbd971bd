#!/usr/bin/env python3
# A service that obeys: each line says what to do; anything else is echoed in capitals.
#   die, die-hard, hang, silent, twice, nothing, many N, stderr, long N, close-stdout, close-stdin, exit
import os
import sys
import time

for line in iter(sys.stdin.readline, ""):
    word, _, rest = line.rstrip("\n").partition(" ")
    answers = [line.rstrip("\n").upper()]
    if word == "die":
        sys.stderr.write(f"dying of {line}")
        os._exit(3)
    elif word == "die-hard":
        os.kill(os.getpid(), 9)
    elif word == "hang":
        while True:
            time.sleep(1)
    elif word == "silent":
        answers = []
    elif word == "twice":
        answers *= 2
    elif word == "nothing":
        answers = [""]
    elif word == "many":
        answers = [f"{number} of {rest}" for number in range(1, int(rest) + 1)]
    elif word == "stderr":
        sys.stderr.write("e" * int(rest) + "\n")
    elif word == "long":
        answers = ["x" * int(rest)]
    elif word == "close-stdout":
        os.close(1)
        time.sleep(300)
    elif word == "close-stdin":
        os.close(0)
        time.sleep(300)
    elif word == "sleep":
        time.sleep(float(rest))
    for answer in answers:
        sys.stdout.write(answer + "\n")
    sys.stdout.flush()
    if word == "exit":
        os._exit(0)
