"""The end of a role that waits for nothing else."""

import signal
import threading


def at_signals() -> threading.Event:
    """Return what SIGTERM and ^C set from now on."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    return ended
