"""Process definitions: register and list."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tools import console
from tools.commands.arguments import AsJson

app = typer.Typer()
_COLUMNS = ("id", "version", "name", "application", "process_type", "exec", "owner")


@app.command("register")
def register(file: Annotated[Path, typer.Argument(metavar="FILE.json")]) -> None:
    """Register a process definition and print its id.

    Every problem of the file is named at once, and nothing is registered then.

    Example: streamboss register definition.json
    """
    document = _read(file)
    with console.manager() as manager:
        number = manager.register(document)
    console.put(str(number))


@app.command("definitions")
def definitions(*, as_json: AsJson = False) -> None:
    """List your process definitions; admins see everybody's.

    Example: streamboss definitions
    """
    with console.manager() as manager:
        found = manager.list("definitions")
    console.show(
        found if as_json else [_row(definition) for definition in found],
        _COLUMNS,
        as_json=as_json,
        nothing="no definitions: 'streamboss register FILE.json' registers one",
    )


def _row(shown: dict[str, Any]) -> dict[str, Any]:
    return {**shown["definition"], **shown}


def _read(file: Path) -> dict[str, Any]:
    from streams.definition import ProcessDefinition
    from streams.errors import DefinitionError

    try:
        text = file.read_bytes()
        ProcessDefinition.from_document(text)
    except OSError as error:
        raise DefinitionError([f"{file}: {error.strerror}"]) from None
    except DefinitionError as error:
        raise DefinitionError([f"{file}: {problem}" for problem in error.problems]) from None
    document: dict[str, Any] = json.loads(text)
    return document
