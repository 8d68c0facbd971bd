"""Durable subscriptions: list and remove; `consume --durable` makes them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from streams.errors import StreamsError
from tools import console, names
from tools.commands.arguments import AsJson, Yes
from tools.counts import count

app = typer.Typer()
_Words = Annotated[
    list[str], typer.Argument(metavar="[STREAM] NAME", autocompletion=names.subscriptions)
]


@app.command("remove-subscription")
def remove_subscription(words: _Words, *, yes: Yes = False) -> None:
    """Remove a durable subscription with its waiting messages; says how many.

    The stream may be left out where only one has a subscription of that name.

    Example: streamboss remove-subscription mystream nightly
    """
    if len(words) > 2:  # noqa: PLR2004 - a stream and a name
        raise console.UsageError("one subscription at a time: [STREAM] NAME")
    with console.manager() as manager:
        stream, name = meant(manager.list("subscriptions"), words)
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


def meant(there: Sequence[Mapping[str, Any]], words: Sequence[str]) -> tuple[str, str]:
    """Return the stream and the name of the subscription that `[STREAM] NAME` means. Pure.

    Raises:
        StreamsError: no stream has one of that name, or several have and none was named.
    """
    *named, name = words
    if named:
        return named[0], name
    having = sorted(one["stream"] for one in there if one["name"] == name)
    if not having:
        raise StreamsError(
            f"there is no subscription {name!r}: 'streamboss subscriptions' lists them"
        )
    if len(having) > 1:
        choice = " or ".join(f"'{stream} {name}'" for stream in having)
        raise StreamsError(f"several streams have a subscription {name!r}: say {choice}")
    return having[0], name
