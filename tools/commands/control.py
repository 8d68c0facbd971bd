"""`launch`, `stop`, `resume`, `instances`, `purge`: an operation in somebody's hand."""

from typing import Annotated

import typer

from tools import console
from tools.commands.arguments import Operation, Yes
from tools.counts import bounds, count

app = typer.Typer()


@app.command()
def launch(operation: Operation) -> None:
    """Run an operation whether or not somebody consumes its output.

    Example: streamboss launch my-operation
    """
    _demand(operation, "always", "runs from now on, whether or not somebody consumes")


@app.command()
def stop(operation: Operation) -> None:
    """Pause an operation: it drains, and messages wait while it is wanted.

    Example: streamboss stop my-operation
    """
    _demand(operation, "paused", f"is paused: 'streamboss resume {operation}' ends that")


@app.command()
def resume(operation: Operation) -> None:
    """Let an operation run on demand again, after `launch` or `stop`.

    Example: streamboss resume my-operation
    """
    _demand(operation, "consumers", "runs from now on while somebody consumes")


@app.command()
def instances(
    operation: Operation,
    number: Annotated[str, typer.Argument(metavar="N-M", help="A range follows what waits.")],
) -> None:
    """Set on how many machines at once an operation works.

    Example: streamboss instances my-operation 1-5
    """
    least, most = bounds(number, "N-M")
    with console.manager() as manager:
        manager.patch_operation(operation, instances={"min": least, "max": most})
    console.say(f"operation {operation!r} works on {number} machine{'s' * (most != 1)} at once")


@app.command()
def purge(operation: Operation, *, yes: Yes = False) -> None:
    """Throw away the messages that wait for an operation; says how many.

    Example: streamboss purge my-operation
    """
    with console.manager() as manager:
        waiting = manager.get("operations", operation)["backlog_messages"]
        console.agree(
            f"throw away {count(waiting, 'waiting message')} of operation {operation!r}?", yes=yes
        )
        purged = manager.purge(operation)
    console.say(f"{count(purged, 'waiting message')} of operation {operation!r} thrown away")


def _demand(operation: str, demand: str, now: str) -> None:
    with console.manager() as manager:
        manager.patch_operation(operation, demand=demand)
    console.say(f"operation {operation!r} {now}")
