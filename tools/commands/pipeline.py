"""A whole pipeline as a file under version control: `apply` and `export`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tools import console

if TYPE_CHECKING:
    from manager.client import ManagerClient
    from tools.pipeline import Change, Present

app = typer.Typer()


@app.command("apply")
def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE.yaml")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,  # noqa: FBT002 - a flag
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show.")] = False,  # noqa: FBT002
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,  # noqa: FBT002
) -> None:
    """Make streams, definitions and operations as the file says; twice is the same as once.

    Shows what changes (+ is created, ~ changes, = stays) and asks. What the file doesn't name
    stays as it is; nothing is ever removed.

    Example: streamboss apply pipeline.yaml
    """
    from tools import pipeline, pipeline_file

    try:
        wanted = pipeline_file.parse(_text(file))
        with console.manager() as manager:
            changes = pipeline.plan(wanted, _present(manager))
            _show(changes, as_json=as_json)
            todo = [change for change in changes if change.act is not pipeline.Act.KEEP]
            if todo and not dry_run and _agreed(len(todo), yes=yes):
                _do(manager, changes)
            elif not todo:
                console.say("nothing to change")
    except pipeline_file.PipelineError as error:
        raise pipeline_file.PipelineError([f"{file}: {p}" for p in error.problems]) from None


@app.command("export")
def export(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE.yaml", help="Where to write; default: stdout.")
    ] = None,
) -> None:
    """Write your streams, definitions and operations as a file that `apply` takes.

    Example: streamboss export pipeline.yaml
    """
    from tools import pipeline, pipeline_file

    with console.manager() as manager:
        text = pipeline_file.to_yaml(pipeline.export(_present(manager)))
    if file is None:
        sys.stdout.write(text)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise pipeline_file.PipelineError([f"{file}: {error.strerror}"]) from None


def _text(file: Path) -> str:
    from tools.pipeline_file import PipelineError

    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise PipelineError([str(error.strerror)]) from None
    except UnicodeDecodeError as error:
        raise PipelineError([f"not UTF-8, at byte {error.start}"]) from None


def _present(manager: "ManagerClient") -> "Present":
    from streams.definition import ProcessDefinition
    from tools.pipeline import Present, Registered

    return Present(
        user=console.settings().user or "",
        streams={stream["name"]: stream for stream in manager.list("streams")},
        definitions=sorted(
            (
                Registered(d["id"], d["owner"], ProcessDefinition.from_mapping(d["definition"]))
                for d in manager.list("definitions")
            ),
            key=lambda registered: registered.id,
        ),
        operations={operation["name"]: operation for operation in manager.list("operations")},
        archives={archive["stream"]: archive for archive in manager.list("archives")},
    )


def _show(changes: Sequence["Change"], *, as_json: bool) -> None:
    for change in changes:
        if as_json:
            fields = {name: {"old": old, "new": new} for name, (old, new) in change.fields.items()}
            shown = {"act": change.act.name.lower(), "kind": change.kind, "name": change.name}
            restarts = {"restarts": list(change.restarts)}
            console.put(json.dumps({**shown, "fields": fields, **restarts}))
        else:
            restarts_too = f"  (restarts {', '.join(change.restarts)})" if change.restarts else ""
            console.put(f"{change.act.value} {change.kind} {change.name}{restarts_too}")
            for name, (old, new) in change.fields.items():
                console.put(f"    {name}: {_plain(old)} -> {_plain(new)}")


def _plain(value: object) -> str:
    """Return a value in one line: text that is simple as it stands, anything else as JSON."""
    if isinstance(value, str) and value.isprintable() and value.strip() == value != "":
        return value
    return json.dumps(value, ensure_ascii=False)


def _agreed(count: int, *, yes: bool) -> bool:
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise console.UsageError(
            "nobody here to ask: say --yes to make these changes, or --dry-run to only see them"
        )
    if not console.confirm(
        f"make {'this change' if count == 1 else f'these {count} changes'}?", yes=yes
    ):
        raise typer.Exit(1)
    return True


def _do(manager: "ManagerClient", changes: Sequence["Change"]) -> None:
    """Make the changes, in their order; one that fails ends it, and doing it again goes on."""
    from manager.client import ManagerError
    from tools.pipeline import Act

    ids: dict[str, int] = {}
    done = 0
    for change in changes:
        try:
            _one(manager, change, ids)
        except ManagerError as error:
            where = f"{change.kind} {change.name}"
            after = f" ({done} made before: 'apply' again goes on from here)" if done else ""
            problems = [f"{where}: {text}" for text in error.problems]
            problems[-1] += after
            raise ManagerError(problems, status=error.status) from None
        done += change.act is not Act.KEEP
    console.say(f"{done} made so")


def _one(manager: "ManagerClient", change: "Change", ids: dict[str, int]) -> None:
    from tools.pipeline import Act

    match change.kind, change.act:
        case _, Act.KEEP:
            pass
        case "stream", _:
            manager.create_stream(change.name)
        case "archive", _:
            manager.begin_archive(change.name, **change.body)
        case "definition", Act.CREATE:
            ids[change.name] = manager.register(change.body)
        case "definition", _:
            for number in change.ids:
                manager.update_definition(number, change.body)
        case _:
            _operation(manager, change, ids)


def _operation(manager: "ManagerClient", change: "Change", ids: dict[str, int]) -> None:
    from tools.pipeline import Act

    body: dict[str, Any] = dict(change.body)
    name = body.pop("definition", None)
    number = ids.get(name, change.definition_id)
    if change.act is Act.CREATE:
        ends = (body.pop("input_stream"), body.pop("output_stream"))
        manager.create_operation(change.name, number, *ends, **body)
    else:
        named = {} if name is None else {"process_definition_id": number}
        manager.patch_operation(change.name, **named, **body)
