"""`activity`: what happened, and who did it."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from tools import console
from tools.commands.arguments import AsJson

app = typer.Typer()
#: Fields of an event that have a column of their own.
_OWN = frozenset({"v", "at", "event", "by"})


@app.command("activity")
def activity(
    *,
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="Of a kind only: operation, or operation.state.")
    ] = "",
    name: Annotated[str, typer.Option(help="What happened to this only.")] = "",
    by: Annotated[str, typer.Option(metavar="USER", help="What this person did only.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="So many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show what happened lately, the newest first: every change of state, and who did what.

    Example: streamboss activity --kind operation --limit 10
    """
    with console.manager() as manager:
        events = manager.activity(limit=limit, kind=kind, name=name, by=by)
    console.show(
        events if as_json else map(_row, events),
        ("at", "event", "name", "by", "more"),
        as_json=as_json,
        nothing="nothing like that has happened",
    )


def _row(event: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(event["event"]).partition(".")[0]
    more = [
        f"{field}={value}"
        for field, value in event.items()
        if field not in {*_OWN, kind} and value not in (None, "", [], {})
    ]
    return {**event, "name": event.get(kind), "more": " ".join(more)}
