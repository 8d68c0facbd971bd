"""`nodes` and `node`: the machines that have an agent."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import typer

from streams.errors import StreamsError
from tools import console, names
from tools.commands.arguments import AsJson, Yes

app = typer.Typer()
node = typer.Typer(help="Add, drain, renew, remove and list the machines that have an agent.")
app.add_typer(node, name="node", no_args_is_help=True)
_COLUMNS = (
    "name",
    "state",
    "cloud",
    "offers",
    "operations",
    "why",
    "until",
    "price",
    "cpu_percent",
    "memory_bytes",
    "last_seen",
)
_PRIVATE = 0o600


class NodeFileError(StreamsError):
    """An agent's file that can't be written."""


@app.command("nodes")
def nodes(*, as_json: AsJson = False) -> None:
    """List the machines that have an agent, and how they are.

    Example: streamboss nodes
    """
    _list(as_json=as_json)


@node.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List the machines that have an agent, as `nodes` does.

    Example: streamboss node list
    """
    _list(as_json=as_json)


def _list(*, as_json: bool) -> None:
    with console.manager() as manager:
        console.show(
            manager.list("nodes"),
            _COLUMNS,
            as_json=as_json,
            nothing="no nodes: 'streamboss node add NAME' adds one",
        )


@node.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    *,
    applications: Annotated[
        str, typer.Option(metavar="A,B", help="What it offers; 'any' is every application.")
    ] = "any",
    slots: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Operators at once; 200.")
    ] = None,
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="Where to write what its agent needs.")
    ] = Path("agent.json"),
) -> None:
    """Add a machine, and write the file that its agent needs. That file holds a password.

    Example: streamboss node add rack-1 --applications resize,ocr --output rack-1.json
    """
    offers = [word.strip() for word in applications.split(",") if word.strip()]
    options = {} if slots is None else {"slots": slots}
    with console.manager() as manager, _new_file(output) as file:
        config = manager.add_node(name, offers=offers, **options)
        file.write(json.dumps(config, indent=1) + "\n")
    console.say(
        f"node {name!r} added: take {output} to that machine, and run there"
        f" 'streamboss agent --config {output.name}'"
    )


@node.command("remove")
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=names.nodes)],
    *,
    yes: Yes = False,
    now: Annotated[
        bool, typer.Option("--now", help="Terminate a launched machine without draining it.")
    ] = False,
) -> None:
    """Remove a machine: its agent can't connect any more, its operations go elsewhere.

    One that the manager launched is drained and terminated.

    Example: streamboss node remove rack-1
    """
    with console.manager() as manager:
        found = manager.get("nodes", name)
        operations = found["operations"]
        at_work = f", which runs {', '.join(operations)}" if operations else ""
        console.agree(f"remove node {name!r}{at_work}?", yes=yes)
        manager.remove_node(name, at_once=now)
    if found["cloud"]:
        drained = "" if now else "drained, and then "
        console.say(f"node {name!r} is {drained}terminated")
    else:
        console.say(f"node {name!r} removed")


@node.command("drain")
def drain(name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=names.nodes)]) -> None:
    """Let a machine take nothing new: it finishes what it has, its operations go elsewhere.

    Example: streamboss node drain rack-1
    """
    with console.manager() as manager:
        manager.drain_node(name, draining=True)
    console.say(f"node {name!r} takes nothing new: 'streamboss node resume {name}' undoes that")


@node.command("resume")
def resume(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=names.nodes)],
) -> None:
    """Let a machine that was drained take operations again.

    Example: streamboss node resume rack-1
    """
    with console.manager() as manager:
        manager.drain_node(name, draining=False)
    console.say(f"node {name!r} takes operations again")


@node.command("renew")
def renew(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=names.nodes)],
    *,
    hours: Annotated[
        float | None, typer.Option(metavar="H", help="Let its lease end H hours from now.")
    ] = None,
    idle: Annotated[bool, typer.Option("--idle", help="Let its idle time begin anew.")] = False,
) -> None:
    """Restart a clock of a machine that the manager launched: its lease's, or its idle time's.

    Example: streamboss node renew my-operation-3f9a1c --hours 24
    """
    if (hours is None) != idle:
        raise console.UsageError("give either --hours H or --idle")
    clock = {"clock": "idle"} if idle else {"clock": "lease", "hours": hours}
    with console.manager() as manager:
        renewed = manager.renew_node(name, clock)
    if renewed["warning"]:
        console.say(f"warning: {renewed['warning']}")
    console.say(f"node {name!r}: its lease ends at {console.local_time(renewed['until'])}")


@contextmanager
def _new_file(path: Path) -> Iterator[IO[str]]:
    """Open a file that only we may read, before anything is done that needs it; gone on failure."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    except FileExistsError:
        raise NodeFileError(f"{path}: exists already: name another with --output") from None
    except OSError as error:
        raise NodeFileError(f"{path}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise
