"""Durable subscriptions: list and remove; `consume --durable` makes them."""

from typing import Annotated

import typer

from tools import console, names
from tools.commands.arguments import AsJson, Stream, Yes
from tools.counts import count

app = typer.Typer()
_Name = Annotated[str, typer.Argument(metavar="NAME", autocompletion=names.subscriptions)]


@app.command("remove-subscription")
def remove_subscription(stream: Stream, name: _Name, *, yes: Yes = False) -> None:
    """Remove a durable subscription with its waiting messages; says how many.

    Example: streamboss remove-subscription mystream nightly
    """
    with console.manager() as manager:
        waiting = manager.get("subscriptions", f"{stream}/{name}")["messages"]
        console.agree(
            f"remove subscription {name!r} of stream {stream!r}, and throw away"
            f" {count(waiting, 'waiting message')}?",
            yes=yes,
        )
        waiting = manager.remove_subscription(stream, name)
    console.say(f"subscription {name!r} removed, with {count(waiting, 'waiting message')}")


@app.command("subscriptions")
def subscriptions(*, as_json: AsJson = False) -> None:
    """List the durable subscriptions, and how many messages wait in each.

    Example: streamboss subscriptions
    """
    with console.manager() as manager:
        console.show(
            manager.list("subscriptions"),
            ("stream", "name", "messages"),
            as_json=as_json,
            nothing="no subscriptions: 'streamboss consume STREAM --durable NAME' makes one",
        )
