"""Files that a person named, and what they are to be as objects."""

import glob
import mimetypes
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from streams.errors import StreamsError
from tools.console import UsageError

#: How a file that was compressed says so, whatever is in it.
_COMPRESSED = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "compress": "application/x-compress",
    "br": "application/x-brotli",
}


@dataclass(frozen=True, slots=True)
class Planned:
    """A file, and the object that it becomes; `size` as it was just now."""

    path: Path
    key: str
    size: int
    content_type: str | None


def plan(words: Sequence[str], key: str | None, content_type: str | None) -> list[Planned]:
    """Return what becomes of the files that `words` name; patterns match, `*` and `**` alike.

    `key` is one file's key, or, with a slash at its end, the folder of all of them; without it each
    file's own name is its key.

    Raises:
        StreamsError: one isn't there, or is no file; names every one.
        UsageError: two files would have the same key.
    """
    paths = list(dict.fromkeys(path for word in words for path in _matching(word)))
    if problems := [problem for path in paths if (problem := _problem(path))]:
        raise StreamsError("; ".join(problems))
    _check_keys(paths, key)
    return [
        Planned(path, _key(path, key), path.stat().st_size, content_type or guessed(path.name))
        for path in paths
    ]


def guessed(name: str) -> str | None:
    """Return the content type that a file's name suggests."""
    kind, compression = mimetypes.guess_type(name)
    return kind if compression is None else _COMPRESSED.get(compression)


def _matching(word: str) -> Iterable[Path]:
    """Return the file of that very name, else what the pattern matches, else the name after all."""
    if os.path.lexists(word):
        return [Path(word)]
    found = sorted(glob.glob(word, recursive=True))  # noqa: PTH207 - of paths, also absolute ones
    return [Path(path) for path in found] or [Path(word)]


def _problem(path: Path) -> str:
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):
            return f"{path}: is no file: name its files" if path.is_dir() else f"{path}: is no file"
        if not os.access(path, os.R_OK):
            return f"{path}: you may not read it"
    except OSError as error:
        return f"{path}: {error.strerror}"
    return ""


def _check_keys(paths: Sequence[Path], key: str | None) -> None:
    if key is not None and not key.endswith("/") and len(paths) > 1:
        raise UsageError(f"--key {key!r} is for one file; for several, name a folder: {key}/")
    seen: dict[str, Path] = {}
    for path in paths:
        other = seen.setdefault(path.name, path)
        if other != path:
            raise UsageError(
                f"{other} and {path} would have the same key {path.name!r}: send them one by one,"
                " with --key"
            )


def _key(path: Path, key: str | None) -> str:
    if key is None:
        return path.name
    return f"{key}{path.name}" if key.endswith("/") else key
