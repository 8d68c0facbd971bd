"""Process definitions: register, change, go back, list, remove."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tools import console, names
from tools.commands.arguments import AsJson, Yes

app = typer.Typer()
_COLUMNS = ("id", "version", "name", "application", "process_type", "exec", "owner")
_VERSION_COLUMNS = ("version", "changed_at", "changed_by", "changes")
Definition = Annotated[int, typer.Argument(metavar="ID", autocompletion=names.definitions)]


@app.command("register")
def register(
    file: Annotated[Path, typer.Argument(metavar="FILE.json")],
    *,
    into: Annotated[
        int | None, typer.Option("--id", help="Make a new version of this definition.")
    ] = None,
) -> None:
    """Register a process definition and print its id; or change one, which makes a new version.

    Every problem of the file is named at once, and nothing is registered then.

    Example: streamboss register definition.json

    Example: streamboss register definition.json --id 1
    """
    document = _read(file)
    with console.manager() as manager:
        if into is None:
            number = manager.register(document)
        else:
            number = into
            _say_version(manager.update_definition(number, document))
    console.put(str(number))


@app.command("restore-definition")
def restore_definition(
    definition: Definition, version: Annotated[int, typer.Argument(metavar="VERSION", min=1)]
) -> None:
    """Go back to an old version: makes a new one that equals it.

    Example: streamboss restore-definition 1 2
    """
    with console.manager() as manager:
        _say_version(manager.restore_version(definition, version))


@app.command("remove-definition")
def remove_definition(definition: Definition, *, yes: Yes = False) -> None:
    """Remove a process definition that no operation uses, with all its versions.

    Example: streamboss remove-definition 1
    """
    with console.manager() as manager:
        found = manager.get("definitions", definition)
        console.agree(f"remove definition {_label(found)}, and all its versions?", yes=yes)
        manager.delete("definitions", definition)
    console.say(f"definition {_label(found)} removed")


@app.command("definitions")
def definitions(
    definition: Annotated[
        int | None, typer.Argument(metavar="[ID]", autocompletion=names.definitions)
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List your process definitions; admins see everybody's. With an ID, its versions.

    Example: streamboss definitions

    Example: streamboss definitions 1
    """
    with console.manager() as manager:
        if definition is not None:
            found = manager.versions(definition)
            shown = found if as_json else [_version_row(version) for version in found]
            console.show(shown, _VERSION_COLUMNS, as_json=as_json, nothing="no versions")
            return
        found = manager.list("definitions")
    console.show(
        found if as_json else [_row(each) for each in found],
        _COLUMNS,
        as_json=as_json,
        nothing="no definitions: 'streamboss register FILE.json' registers one",
    )


def _label(shown: dict[str, Any]) -> str:
    return f"{shown['id']} ({shown['definition']['name']})"


def _say_version(made: dict[str, Any]) -> None:
    console.say(f"definition {_label(made)} is at version {made['version']}")


def _version_row(shown: dict[str, Any]) -> dict[str, Any]:
    return {**shown, "changes": "; ".join(map(_change, shown["changes"])) or "first known"}


def _change(change: dict[str, Any]) -> str:
    """Return a change on a line; what is in an environment may be secret."""
    field = str(change["field"])
    if field.startswith("environment."):
        return f"{field} changed"
    return f"{field}: {json.dumps(change['before'])} -> {json.dumps(change['after'])}"


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
