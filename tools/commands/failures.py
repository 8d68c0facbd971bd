"""`logs`, `dead-letters`, `redrive`: what went wrong in an operation, and trying it again."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tools import console, names
from tools.commands.arguments import AsJson, Operation, Yes
from tools.counts import count

if TYPE_CHECKING:
    from manager.client import ManagerClient

app = typer.Typer()
OneOperation = Annotated[
    str | None, typer.Argument(metavar="OPERATION", autocompletion=names.operations)
]
_LETTER_COLUMNS = ("failed_at", "node", "attempts", "exit_status", "reason", "message")
_SHOWN_CHARACTERS = 60
_FOLLOW_S = 0.5


@app.command("logs")
def logs(
    operation: Operation,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until ^C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what an operation's programs said on stderr lately.

    Example: streamboss logs my-operation --follow
    """
    with console.manager() as manager:
        entries = _following(manager, operation) if follow else iter(manager.logs(operation))
        empty = True
        for entry in entries:
            empty = False
            _write(entry, as_json=as_json)
    if empty:
        console.say(f"operation {operation!r} has said nothing on stderr lately")


@app.command("dead-letters")
def dead_letters(operation: OneOperation = None, *, as_json: AsJson = False) -> None:
    """List the messages that an operation gave up on, and why; the first 1,000.

    Without OPERATION: the operations that have some, and how many.

    Example: streamboss dead-letters my-operation
    """
    if operation is None:
        _count(as_json=as_json)
    else:
        _list(operation, as_json=as_json)


@app.command("redrive")
def redrive(
    operation: Operation,
    *,
    list_: Annotated[bool, typer.Option("--list", help="Only show them.")] = False,
    purge: Annotated[bool, typer.Option("--purge", help="Throw them away instead.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="So many; default: all.")
    ] = None,
    id_: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="The one with this message id.")
    ] = None,
    matching: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Those with TEXT in reason or stderr.")
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Send dead letters back to their operation, attempts from 1; says how many.

    Example: streamboss redrive my-operation --limit 10
    """
    some = any(word is not None for word in (limit, id_, matching))
    if list_ + purge + some > 1:
        raise console.UsageError("--list, --purge, and which ones to send: one at a time")
    if as_json and not list_:
        raise console.UsageError("--json goes with --list")
    if list_:
        _list(operation, as_json=as_json)
        return
    with console.manager() as manager:
        if purge:
            _purge(manager, operation, yes=yes)
        else:
            sent = manager.redrive(operation, limit, message_id=id_, matching=matching)
            console.say(f"{count(sent, 'dead letter')} sent back to operation {operation!r}")


def _purge(manager: "ManagerClient", operation: str, *, yes: bool) -> None:
    there = manager.get("operations", operation)["dead_letters"]
    console.agree(f"throw away {count(there, 'dead letter')} of operation {operation!r}?", yes=yes)
    purged = manager.purge_dead_letters(operation)
    console.say(f"{count(purged, 'dead letter')} of operation {operation!r} thrown away")


def _count(*, as_json: bool) -> None:
    with console.manager() as manager:
        found = [
            {"operation": operation["name"], "dead_letters": operation["dead_letters"]}
            for operation in manager.list("operations")
            if operation["dead_letters"]
        ]
    console.show(
        found,
        ("operation", "dead_letters"),
        as_json=as_json,
        nothing="no operation has dead letters",
    )


def _list(operation: str, *, as_json: bool) -> None:
    with console.manager() as manager:
        found = manager.dead_letters(operation)
    console.show(
        found if as_json else [_row(letter) for letter in found],
        _LETTER_COLUMNS,
        as_json=as_json,
        nothing=f"operation {operation!r} has no dead letters",
    )


def _row(letter: Mapping[str, Any]) -> dict[str, Any]:
    body = letter["body"]
    if body is None:
        body = f"({letter['body_bytes']} bytes that aren't text)"
    elif sys.stdout.isatty() and len(body) > _SHOWN_CHARACTERS:
        body = f"{body[:_SHOWN_CHARACTERS]}..."
    return {**letter, "message": body}


def _following(manager: "ManagerClient", operation: str) -> Iterator[dict[str, Any]]:
    """Yield the entries there are, and then each as it comes; a manager that is away comes back."""
    from manager.client import ManagerUnreachableError

    shown: list[dict[str, Any]] = []
    away = False
    while True:
        try:
            now = manager.logs(operation)
        except ManagerUnreachableError as error:
            if not shown and not away:
                raise
            if not away:
                console.say(f"{error}; waiting for it")
            away = True
        else:
            away = False
            yield from (entry for entry in now if entry not in shown)
            shown = now
        time.sleep(_FOLLOW_S)


def _write(entry: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        console.put(json.dumps(entry))
        return
    at = console.local_time(entry["at"])
    for line in entry["lines"]:
        console.put(f"{at} {entry['node']}  {console.printable(line)}")
    if entry["dropped"]:
        console.say(f"{at} {entry['node']}  ({count(entry['dropped'], 'line')} left out)")
