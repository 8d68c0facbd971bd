"""`up`, `down`, `status`: the embedded stack of the current folder."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tools import stack

app = typer.Typer()
Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@app.command()
def up(*, as_json: Json = False) -> None:
    """Bring up broker, manager and agent in this folder, or repair what is missing.

    Makes `.streamboss/` here, or finds it above. Where STREAMBOSS_AMQP_URL is set, that broker is
    used and none is started.
    """
    shown = stack.up(Path.cwd())
    if as_json:
        _print_json(shown)
    else:
        typer.echo(f"{stack.describe(shown)}\n{stack.next_commands(shown)}")


@app.command()
def down() -> None:
    """End broker, manager and agent of this folder; the data stay."""
    if not stack.down(Path.cwd()):
        typer.echo("nothing was running", err=True)


@app.command()
def status(*, as_json: Json = False) -> None:
    """Show what runs, where, and what is wrong. Exit status 1 when something is."""
    shown = stack.status(Path.cwd())
    if as_json:
        _print_json(shown)
    else:
        typer.echo(stack.describe(shown))
    if shown.problems or not shown.running:
        raise typer.Exit(1)


def _print_json(shown: stack.StackStatus) -> None:
    typer.echo(json.dumps(asdict(shown) | {"problems": shown.problems}, default=str, indent=1))
