"""Names as the manager knows them, for a shell's completion and for hints. Quick, or not at all."""

import difflib
import threading
from collections.abc import Sequence

from streams.errors import StreamsError
from streams.names import name_problem
from tools import console

#: Who presses the tabulator key waits no longer than this.
COMPLETION_S = 0.9
HINT_S = 1.5


def streams(incomplete: str) -> list[str]:
    """Return the streams that begin like this."""
    return _beginning(incomplete, "streams")


def operations(incomplete: str) -> list[str]:
    """Return the operations that begin like this."""
    return _beginning(incomplete, "operations")


def definitions(incomplete: str) -> list[str]:
    """Return the ids of process definitions that begin like this."""
    return _beginning(incomplete, "definitions", "id")


def nodes(incomplete: str) -> list[str]:
    """Return the nodes that begin like this."""
    return _beginning(incomplete, "nodes")


def users(incomplete: str) -> list[str]:
    """Return the users that begin like this."""
    return _beginning(incomplete, "users")


def subscriptions(incomplete: str) -> list[str]:
    """Return the subscriptions, of any stream, that begin like this."""
    return _beginning(incomplete, "subscriptions")


def missing_stream(stream: str) -> str:
    """Return one line about a stream that isn't there: similar names, and what creates it.

    Takes 2 seconds at most, and never fails.
    """
    if problem := name_problem("stream", stream):
        return problem
    similar = difflib.get_close_matches(stream, known("streams", HINT_S))
    meant = f"; did you mean {' or '.join(map(repr, similar))}?" if similar else ":"
    return f"there is no stream {stream!r}{meant} 'streamboss create-stream {stream}' creates it"


def known(kind: str, within_s: float, field: str = "name") -> Sequence[str]:
    """Return the names of a kind, or nothing where the manager doesn't answer in time."""
    found: list[str] = []
    # a thread, because time limits of HTTP count anew with each piece that comes
    asking = threading.Thread(target=_ask, args=(kind, field, found), daemon=True)
    asking.start()
    asking.join(within_s)
    return tuple(found)


def _ask(kind: str, field: str, found: list[str]) -> None:
    import httpx  # noqa: PLC0415 - a quarter of a command's start, for those who need it

    try:
        with console.manager() as manager:
            found.extend(str(thing[field]) for thing in manager.list(kind))
    except (StreamsError, httpx.InvalidURL, OSError, ValueError):
        pass  # who asked goes on without


def _beginning(incomplete: str, kind: str, field: str = "name") -> list[str]:
    return sorted({n for n in known(kind, COMPLETION_S, field) if n.startswith(incomplete)})
