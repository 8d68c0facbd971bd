"""Operations: make, list, remove."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from tools import console, names
from tools.commands.arguments import AsJson, Operation, Yes
from tools.counts import bounds, count

app = typer.Typer()
#: What the table shows; `--json` has all of it.
COLUMNS = (
    "name",
    "state",
    "input_stream",
    "output_stream",
    "nodes",
    "backlog_messages",
    "dead_letters",
    "reason",
)
OPERATORS = ("node", "state", "since", "in_hand", "acknowledged", "restarts", "reason")
_Definition = Annotated[
    int, typer.Argument(metavar="PROCESS_DEFINITION_ID", autocompletion=names.definitions)
]
_Input = Annotated[str, typer.Argument(metavar="INPUT", autocompletion=names.streams)]
_Output = Annotated[str, typer.Argument(metavar="OUTPUT", autocompletion=names.streams)]


@app.command("create-operation")
def create_operation(
    operation: Annotated[str, typer.Argument(metavar="OPERATION")],
    process_definition_id: _Definition,
    input_stream: _Input,
    output_stream: _Output,
    *,
    demand: Annotated[
        str | None,
        typer.Option(help="When it runs: consumers (while somebody consumes), always, paused."),
    ] = None,
    instances: Annotated[
        str | None, typer.Option(metavar="N", help="On how many machines: 3, or a range: 1-5.")
    ] = None,
    linger: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds it runs on without consumers; 30.")
    ] = None,
    drain: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds to finish what it has; 30.")
    ] = None,
    max_messages: Annotated[
        int | None, typer.Option(metavar="N", help="Waiting messages; then the oldest go.")
    ] = None,
    max_bytes: Annotated[
        int | None, typer.Option(metavar="N", help="Waiting bytes; then the oldest go.")
    ] = None,
    max_age: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds a message waits at most.")
    ] = None,
) -> None:
    """Make an operation, and its streams if they don't exist; twice the same is fine.

    Example: streamboss create-operation my-operation 1 mystream outputstream

    Example: streamboss create-operation resize 2 pictures thumbnails --instances 1-5
    """
    backlog = {"max_messages": max_messages, "max_bytes": max_bytes, "max_age_s": max_age}
    options = {
        "demand": demand,
        "instances": _instances(instances),
        "linger_s": linger,
        "drain_s": drain,
        "backlog": _given(backlog) or None,
    }
    with console.manager() as manager:
        created = manager.create_operation(
            operation, process_definition_id, input_stream, output_stream, **_given(options)
        )
    console.say(f"operation {operation!r} {'created' if created else 'exists already'}")


@app.command("remove-operation")
def remove_operation(operation: Operation, *, yes: Yes = False) -> None:
    """Remove an operation with its waiting messages and dead letters; says how many.

    Example: streamboss remove-operation my-operation
    """
    with console.manager() as manager:
        found = manager.get("operations", operation)
        lost = _lost(found["backlog_messages"], found["dead_letters"])
        console.agree(f"remove operation {operation!r}, and throw away {lost}?", yes=yes)
        gone = manager.delete("operations", operation)
    lost = _lost(gone["messages"], gone["dead_letters"])
    console.say(f"operation {operation!r} removed, with {lost}")


@app.command("operations")
def operations(
    operation: Annotated[
        str | None,
        typer.Argument(metavar="[OPERATION]", autocompletion=names.operations),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List the operations: what each does just now, where, and why. With a name, its operators.

    Example: streamboss operations

    Example: streamboss operations my-operation
    """
    with console.manager() as manager:
        if operation is not None:
            found = manager.get("operations", operation)
            nothing = f"operation {operation!r} runs nowhere: {found['state']}, {found['reason']}"
            console.show(found["operators"], OPERATORS, as_json=as_json, nothing=nothing)
            return
        console.show(
            manager.list("operations"),
            COLUMNS,
            as_json=as_json,
            nothing="no operations: 'streamboss create-operation' makes one",
        )


def _instances(text: str | None) -> dict[str, int] | None:
    return (
        None
        if text is None
        else dict(zip(("min", "max"), bounds(text, "--instances"), strict=True))
    )


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given: the manager compares only those with what exists."""
    return {name: value for name, value in options.items() if value is not None}


def _lost(messages: int, dead_letters: int) -> str:
    return f"{count(messages, 'waiting message')} and {count(dead_letters, 'dead letter')}"
