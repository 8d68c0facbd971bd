"""What every command shares: settings, the manager, and how results are shown.

stdout carries the result, stderr everything else.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streams.errors import StreamsError
from streams.settings import Settings

if TYPE_CHECKING:
    from manager.client import ManagerClient

#: Exit status after ^C.
INTERRUPTED = 130


class UsageError(StreamsError):
    """Arguments that make no sense together: exit status 2."""


def settings() -> Settings:
    """Return the settings of whoever typed the command."""
    return Settings.load(os.environ, Path.cwd())


def manager() -> "ManagerClient":
    """Return a client of the manager; a context manager."""
    from manager.client import ManagerClient  # noqa: PLC0415 - 0.1 s, for those who need it

    return ManagerClient(settings())


def say(text: str) -> None:
    """Tell the person something that isn't the result, in one line or more."""
    text = "\n".join(map(printable, text.split("\n")))
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the one place


def put(text: str) -> None:
    """Write one line of the result."""
    print(text, flush=True)  # noqa: T201 - the one place


def agree(question: str, *, yes: bool) -> None:
    """Ask as `confirm` does, and end with exit status 1 where the answer is no."""
    if not confirm(question, yes=yes):
        sys.exit("nothing changed")


def confirm(question: str, *, yes: bool) -> bool:
    """Ask on a terminal; elsewhere, and with `--yes`, the answer is yes."""
    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def show(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, nothing: str
) -> None:
    """Show things: a table on a terminal, tab-separated in a pipe, JSON a line with `--json`.

    Where there are none, `nothing` says so, and what to do about it, on stderr.
    """
    things = list(rows)
    if as_json:
        for thing in things:
            put(json.dumps(thing))
    elif not things:
        say(nothing)
    elif sys.stdout.isatty():
        _table(things, columns)
    else:
        put("\t".join(columns))
        for thing in things:
            put("\t".join(cell(thing.get(column)) for column in columns))


def cell(value: object) -> str:
    """Return a value as one line of text."""
    match value:
        case None:
            return "-"
        case float():
            return f"{value:.3g}"
        case list() | tuple():
            return ",".join(map(printable, map(str, value))) or "-"
        case _:
            return printable(" ".join(str(value).split())) or "-"


def text_of(body: bytes) -> str | None:
    """Return a message as text, or None where it is none that a person could read."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def printable(text: str) -> str:
    """Return text that can't command a terminal: programs and foreign clients wrote it."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


#: Shorter titles for terminals; pipes and `--json` get the names of the fields.
_TITLES = {
    "input_stream": "input",
    "output_stream": "output",
    "backlog_messages": "waiting",
    "dead_letters": "dead",
    "process_type": "type",
    "cpu_percent": "cpu %",
    "memory_bytes": "memory",
    "size_bytes": "size",
    "first_at": "first",
    "last_at": "last",
    "begun_at": "begun",
    "duration_s": "took s",
    "price_per_day": "a day at most",
    "lag_messages": "lag",
}
_WHOLE_CHARACTERS = 24
_TIMES = frozenset(
    {
        "last_seen",
        "until",
        "failed_at",
        "first_at",
        "last_at",
        "at",
        "begun_at",
        "created_at",
        "used_at",
    }
)
#: How states look on a terminal; their words say the same.
_COLOURS = {
    "running": "green",
    "recording": "green",
    "waiting": "yellow",
    "stopping": "yellow",
    "ready": "green",
    "starting": "yellow",
    "lingering": "yellow",
    "draining": "yellow",
    "late": "yellow",
    "paused": "blue",
    "failed": "red",
    "lost": "red",
    "outdated": "red",
}


def _table(things: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    from rich.console import Console  # noqa: PLC0415 - 50 ms, for terminals alone
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        title = _TITLES.get(column, column.replace("_", " "))
        table.add_column(title, overflow="fold", no_wrap=_whole(things, column))
    for thing in things:
        cells = [_seen(column, thing.get(column)) for column in columns]
        table.add_row(*(Text(text, style=_COLOURS.get(text, "")) for text in cells))
    Console().print(table)


def _whole(things: Sequence[Mapping[str, Any]], column: str) -> bool:
    """Say whether a column's words stay in one piece; long ones are folded, rather than cut."""
    return column in {"name", "stream", "state"} and all(
        len(cell(thing.get(column))) <= _WHOLE_CHARACTERS for thing in things
    )


def _seen(column: str, value: object) -> str:
    """Return a value as people compare it: sizes in words, times as on their own clock."""
    if column.endswith("_bytes") and isinstance(value, int):
        return f"{value / 1024**2:,.0f} MiB"
    if column in _TIMES and isinstance(value, str):
        with suppress(ValueError):
            return local_time(value)
    return cell(value)


def local_time(instant: str) -> str:
    """Return an instant of the manager's, by the clock of whoever looks, with its offset.

    Raises:
        ValueError: it is none.
    """
    return datetime.fromisoformat(instant).astimezone().isoformat(" ", "seconds")
