"""`up`, `down`, `status`: the embedded stack of the current folder."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from streams.settings import without_password
from tools import console, stack
from tools.overview import Overview, look

app = typer.Typer()
#: So many operations, nodes and problems fit on one screen.
MOST_SHOWN = 12
OPERATION_COLUMNS = ("name", "state", "nodes", "backlog_messages", "dead_letters", "reason")
NODE_COLUMNS = ("name", "state", "offers", "operations")
Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@app.command()
def up(*, as_json: Json = False) -> None:
    """Bring up broker, S3, manager and agent in this folder, or repair what is missing.

    Makes `.streamboss/` here, or finds it above. Where STREAMBOSS_AMQP_URL or AWS_ENDPOINT_URL_S3
    is set, that broker or S3 server is used and none is started.

    Example: streamboss up
    """
    shown = stack.up(Path.cwd())
    if as_json:
        _print_json(shown)
    else:
        typer.echo(f"{stack.describe(shown)}\n{stack.next_commands(shown)}")


@app.command()
def down() -> None:
    """End broker, S3, manager and agent of this folder; the data stay.

    Example: streamboss down
    """
    if not stack.down(Path.cwd()):
        typer.echo("nothing was running", err=True)


@app.command()
def status(*, as_json: Json = False) -> None:
    """Show what runs, where, and what is wrong. Exit status 1 when something is.

    Example: streamboss status
    """
    shown = stack.status(Path.cwd())
    url = console.settings().manager_url
    seen = _seen(shown, url)
    problems = [*shown.problems, *seen.problems]
    if as_json:
        everything = asdict(shown) | asdict(seen) | {"manager_url": url, "problems": problems}
        typer.echo(json.dumps(everything, default=str))
    else:
        _tell(shown, url, seen, problems)
    if problems or not (shown.running or _elsewhere(shown, url)):
        raise typer.Exit(1)


def _elsewhere(shown: stack.StackStatus, url: str | None) -> bool:
    """Say whether the settings lead to another manager than this folder's."""
    return bool(url) and url != shown.manager_url


def _seen(shown: stack.StackStatus, url: str | None) -> Overview:
    """Ask the manager; where it is this folder's and known to be down, that is said already."""
    from manager.client import ManagerError

    down = not shown.running or any(p.problem for p in shown.parts if p.name == "manager")
    if url is None or (down and not _elsewhere(shown, url)):
        return Overview()
    try:
        with console.manager() as manager:
            return look(manager)
    except ManagerError as error:
        return Overview(problems=error.problems)


def _tell(
    shown: stack.StackStatus, url: str | None, seen: Overview, problems: Sequence[str]
) -> None:
    if shown.running or not _elsewhere(shown, url):
        console.put(stack.describe(shown))
    if url and _elsewhere(shown, url):
        console.put(f"the manager of your settings: {without_password(url)}")
    for title, things, columns in (
        ("operations", seen.operations, OPERATION_COLUMNS),
        ("nodes", seen.nodes, NODE_COLUMNS),
    ):
        if things:
            console.put("")
            console.show(things[:MOST_SHOWN], columns, as_json=False, nothing="")
        if len(things) > MOST_SHOWN:
            console.put(f"... and {len(things) - MOST_SHOWN} more: 'streamboss {title}'")
    for heading, lines in (("wrong", problems), ("note", seen.notes)):
        for line in lines[:MOST_SHOWN]:
            console.put(f"{heading}: {console.printable(line)}")


def _print_json(shown: stack.StackStatus) -> None:
    typer.echo(json.dumps(asdict(shown) | {"problems": shown.problems}, default=str, indent=1))
