"""What we did and meant to do, on disk before we do it: nothing of ours is ever unexplained.

One file for each run (one command), one line of JSON for each event, fsynced. Whoever runs holds
a lock on its file; a file without one belongs to a run that is over, however it ended.
"""

import fcntl
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from provision.attempts import Attempt, Status, Thing, fold
from provision.errors import ProvisionError
from provision.machine import ATTEMPT, Image


class Journal:
    """The journal of one run, which it appends to, and of all others, which it reads."""

    def __init__(self, folder: Path, run: str | None = None) -> None:
        self.folder, self.run = folder, run or uuid4().hex[:12]
        self._lock = threading.Lock()
        self._file: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the run: what it left open is recovery's from now on."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def intend(self, thing: Thing, cloud: str, name: str, tags: Mapping[str, str]) -> str:
        """Write down that something will be created; return the attempt's id, 16 hex digits."""
        attempt = uuid4().hex[:16]
        self._write(Status.INTENT, attempt, thing=thing, cloud=cloud, name=name, tags=dict(tags))
        return attempt

    def adopt(self, attempt: str, thing: Thing, cloud: str, image: Image) -> None:
        """Write down what exists already, perhaps made on another computer."""
        self._write(
            Status.INTENT, attempt, thing=thing, cloud=cloud, name=image.name, tags=dict(image.tags)
        )
        self.done(attempt, image.id)

    def done(self, attempt: str, thing_id: str) -> None:
        """Write down that it exists, and as what."""
        self._write(Status.DONE, attempt, thing_id=thing_id)

    def failed(self, attempt: str, reason: str) -> None:
        """Write down that it doesn't exist and won't."""
        self._write(Status.FAILED, attempt, reason=reason)

    def removing(self, attempt: str, parts: Iterable[str]) -> None:
        """Write down that an image goes, and what of it must go next."""
        self._write(Status.REMOVING, attempt, parts=list(parts))

    def undone(self, attempt: str) -> None:
        """Write down that it is gone for sure."""
        self._write(Status.UNDONE, attempt)

    def changed(self, attempt: str, tags: Mapping[str, str]) -> None:
        """Write down new values of tags, for clouds that keep none."""
        self._write("changed", attempt, tags=dict(tags))

    def keep(self, attempt: str) -> None:
        """Write down that it outlives its run, until its lease ends."""
        self._write("kept", attempt)

    def attempts(self) -> dict[str, Attempt]:
        """Return every attempt that isn't closed, by its id, from all runs."""
        return fold((run, live, r) for run, live, rs in self._runs() for r in rs)

    def tags_by_attempt(self) -> dict[str, Mapping[str, str]]:
        """Return the tags of machines, for clouds that keep none."""
        everything = self.attempts().values()
        return {a.id: {**a.tags, ATTEMPT: a.id} for a in everything if a.thing is Thing.MACHINE}

    def images_by_name(self, cloud: str) -> dict[str, Mapping[str, str]]:
        """Return the tags of one cloud's images, for clouds that keep none."""
        everything = [a for a in self.attempts().values() if a.cloud == cloud]
        return {a.name: {**a.tags, ATTEMPT: a.id} for a in everything if a.thing is Thing.IMAGE}

    def tidy(self) -> None:
        """Remove the files of runs that are over and left nothing open.

        Files that tell of one attempt go together: without its end, its beginning would look open.
        """
        runs = [(run, live, {r["attempt"] for r in rs}) for run, live, rs in self._runs()]
        needed = set(self.attempts()).union(*(told for _, live, told in runs if live))
        while more := set[str]().union(*(told for _, _, told in runs if told & needed)) - needed:
            needed |= more
        for run, live, told in runs:
            if not live and not told & needed:
                (self.folder / f"{run}.jsonl").unlink(missing_ok=True)

    def _write(self, event: str, attempt: str, **more: Any) -> None:
        with self._lock:
            if self._file is None:
                self._file = _begun(self.folder, self.run)
                self._seq = 0
            self._seq += 1
            now = datetime.now(UTC).isoformat()
            record = {"t": now, "seq": self._seq, "event": event, "attempt": attempt, **more}
            try:
                self._file.write(json.dumps(record) + "\n")
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError as error:
                raise _unwritable(self.folder, error) from None

    def _runs(self) -> Iterator[tuple[str, bool, list[dict[str, Any]]]]:
        """Yield each run's name, whether it still runs, and its records."""
        for path in sorted(self.folder.glob("*.jsonl")):
            live = path.stem == self.run or _is_locked(path)
            yield path.stem, live, list(_records(path))


def _begun(folder: Path, run: str) -> Any:
    """Return the file of a new run, locked; nobody finds it unlocked."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        hidden = folder / f".{run}.new"
        file = hidden.open("a", encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        hidden.rename(folder / f"{run}.jsonl")
        _sync_folder(folder)
    except OSError as error:
        raise _unwritable(folder, error) from None
    return file


def _unwritable(folder: Path, error: OSError) -> ProvisionError:
    return ProvisionError(f"{folder}: the journal can't be written: {error.strerror}")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a file's records; its last line may be cut off, by a crash or because it grows."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return
    for number, line in enumerate(lines, start=1):
        try:
            if line:
                yield json.loads(line)
        except ValueError:
            if number < len(lines):
                raise ProvisionError(
                    f"{path}, line {number}: damaged; move the file away, then run"
                    " collect_garbage, which asks the clouds"
                ) from None
