"""An archiver that closes segments soon, and that SIGKILL may end at a step: hurried.py STEP TIMES.

The real one, in a process of its own; only how long a segment stays open is changed, and the step
at which it is killed counts how often it was reached.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from manager.archiver import archiver, process, recorder
from manager.archiver.clerk import Clerk
from manager.archiver.spool import Segment
from manager.archiver.tape import Tape
from manager.archiver.vault import Vault
from manager.store import Store
from streams.broker import Feed
from streams.settings import Settings

#: Before or after a call of which method each step is.
STEPS: dict[str, tuple[type, str, str]] = {
    "taking": (Tape, "add", "after"),
    "cutting": (Segment, "close", "after"),
    "storing": (Vault, "store", "before"),
    "stored": (Vault, "store", "after"),
    "acknowledging": (Feed, "ack", "after"),
    "acknowledged": (Clerk, "stored", "before"),
    "noting": (Store, "note_stored", "before"),
    "noted": (Store, "note_stored", "after"),
    "taking over": (Vault, "tail", "after"),
}
SEGMENT_AGE_S = 0.3


def killed_at(step: str, times: int) -> None:
    """Let SIGKILL end this process at a step."""
    owner, name, when = STEPS[step]
    original = getattr(owner, name)
    left = times

    def reached(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **options)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, reached)


if __name__ == "__main__":
    recorder.SEGMENT_AGE_S = SEGMENT_AGE_S
    archiver._TICK_S = 0.05
    if sys.argv[1:]:
        killed_at(sys.argv[1], int(sys.argv[2]))
    process.run(Settings.load(os.environ, Path.cwd()))
