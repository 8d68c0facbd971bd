"""The node's folder for its operators: one agent's at a time, emptied when it starts."""

import fcntl
import os
import secrets
import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from streams.errors import SettingsError

_OURS = 0o700
#: Others may pass through to what is theirs, and see nothing on the way.
_PASSABLE = 0o711


class Scratch:
    """An agent's scratch folder, locked: another agent here would end this one's operators."""

    def __init__(self, folder: Path | None, node: str, *, owner: str | None = None) -> None:
        """Take the folder; what an earlier agent left in it goes. `owner`: who runs programs.

        Raises:
            SettingsError: it can't be made, belongs to somebody else, or another agent uses it.
        """
        self.folder = folder or Path(tempfile.gettempdir()) / f"streamboss-{node}-{os.geteuid()}"
        try:
            self.folder.mkdir(mode=_OURS, parents=True, exist_ok=True)
            if self.folder.is_symlink() or self.folder.stat().st_uid != os.geteuid():
                raise SettingsError(f"scratch {self.folder}: belongs to somebody else")
            self._lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"scratch {self.folder}: another agent uses it: end that one, or name another"
                " folder as 'scratch' in agent.json"
            ) from None
        except OSError as error:
            raise SettingsError(f"scratch {self.folder}: {error.strerror}") from None
        self._owner = owner
        self._operators = self.folder / "operators"
        self._trash = self.folder / "trash"
        self.remove(self._operators)
        for folder_ in (self._operators, self._trash):
            folder_.mkdir(mode=_OURS, exist_ok=True)
        if owner is not None:
            self.folder.chmod(_PASSABLE)
            self._operators.chmod(_PASSABLE)

    def make(self, number: int) -> Path:
        """Return an empty folder for an operator."""
        folder = self._operators / str(number)
        folder.mkdir(mode=_OURS)
        if self._owner is not None:
            shutil.chown(folder, self._owner)
        return folder

    def keep(self, name: str, text: str) -> Path:
        """Have a file for operators to read, that isn't secret; they may be reading it now."""
        path = self.folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            part = path.with_suffix(".part")
            part.write_text(text, encoding="utf-8")
            part.replace(path)
        return path

    def remove(self, folder: Path) -> None:
        """Delete a folder, out of the way at once, on disk in its own time."""
        self._trash.mkdir(mode=_OURS, exist_ok=True)
        try:
            folder.rename(self._trash / secrets.token_hex(8))
        except OSError:
            return
        # a thread: a program may have left millions of files, and heartbeats go on
        threading.Thread(target=self._empty_trash, daemon=True).start()

    def close(self) -> None:
        """Delete what is there and give the folder to the next agent."""
        shutil.rmtree(self._operators, ignore_errors=True)
        shutil.rmtree(self._trash, ignore_errors=True)
        os.close(self._lock)

    def _empty_trash(self) -> None:
        with suppress(OSError):  # `close` was quicker
            for folder in self._trash.iterdir():
                shutil.rmtree(folder, ignore_errors=True)
