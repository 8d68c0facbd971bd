"""Runs `streamboss <command>` for the script beside it, in the environment of their clone.

Needs nothing but some Python 3: whoever runs a script by its path has no environment active.
"""

import os
import sys
from pathlib import Path


def run(command: str) -> None:
    """Become `streamboss COMMAND` with this script's arguments."""
    # through links, to the clone: its folder of tools may be linked to from anywhere
    clone = Path(__file__).resolve().parent.parent
    program = str(clone / ".venv" / "bin" / "streamboss")
    try:
        os.execv(program, ["streamboss", command, *sys.argv[1:]])  # noqa: S606 - it is ours
    except OSError as error:
        sys.exit(f"streamboss: {program}: {error.strerror}: run 'make setup' in {clone}")
