#!/usr/bin/env python3
# Reads in one thread and answers from another, a little later.
import queue
import sys
import threading
import time

todo = queue.Queue()


def answer():
    while (line := todo.get()) is not None:
        time.sleep(0.2)
        sys.stdout.write(line.upper())
        sys.stdout.flush()


worker = threading.Thread(target=answer)
worker.start()
for line in iter(sys.stdin.readline, ""):
    todo.put(line)
todo.put(None)
worker.join()
