"""The `streamboss` command. Imports only the commands asked for, so that it starts quickly."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from streams.errors import StreamsError
from tools import console

#: Each command, and the module of `tools.commands` whose `app` has it; in the order of `--help`.
COMMANDS = {
    "publish": "publish",
    "consume": "consume",
    "stream-file": "stream_file",
    "create-stream": "streams",
    "remove-stream": "streams",
    "streams": "streams",
    "remove-subscription": "subscriptions",
    "subscriptions": "subscriptions",
    "archive-stream": "archives",
    "stop-archiving-stream": "archives",
    "archives": "archives",
    "stream-archive": "replays",
    "replays": "replays",
    "create-operation": "operations",
    "remove-operation": "operations",
    "operations": "operations",
    "launch": "control",
    "stop": "control",
    "resume": "control",
    "instances": "control",
    "purge": "control",
    "logs": "failures",
    "dead-letters": "failures",
    "redrive": "failures",
    "register": "definitions",
    "restore-definition": "definitions",
    "remove-definition": "definitions",
    "definitions": "definitions",
    "apply": "pipeline",
    "export": "pipeline",
    "try": "trial",
    "up": "stack",
    "down": "stack",
    "status": "stack",
    "manager": "services",
    "agent": "services",
    "nodes": "nodes",
    "node": "nodes",
    "clouds": "clouds",
    "images": "clouds",
    "builds": "clouds",
    "user": "users",
    "activity": "activity",
    "backup": "backup",
    "restore": "backup",
    "certificates": "certificates",
}
#: Under which heading `--help` lists the commands of a module.
HEADINGS = {
    "streams": "Streams",
    "subscriptions": "Streams",
    "publish": "Streams",
    "consume": "Streams",
    "stream_file": "Streams",
    "archives": "Archives",
    "replays": "Archives",
    "operations": "Operations",
    "control": "Operations",
    "failures": "Operations",
    "definitions": "Programs and pipelines",
    "pipeline": "Programs and pipelines",
    "trial": "Programs and pipelines",
    "stack": "Services and access",
    "services": "Services and access",
    "nodes": "Services and access",
    "clouds": "Services and access",
    "users": "Services and access",
    "activity": "Services and access",
    "backup": "Services and access",
    "certificates": "Services and access",
}
#: How the shell's completion asks: the line so far.
_COMPLETED = "_TYPER_COMPLETE_ARGS", "COMP_WORDS"


def build(commands: Sequence[str] = tuple(COMMANDS)) -> typer.Typer:
    """Return an app with the modules of `commands`."""
    app = typer.Typer(
        help="Run any program between two streams of messages.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_nothing)
    for module in dict.fromkeys(COMMANDS[command] for command in commands):
        app.add_typer(_under_heading(import_module(f"tools.commands.{module}").app, module))
    return app


def _under_heading(app: typer.Typer, module: str) -> typer.Typer:
    for command in app.registered_commands:
        command.rich_help_panel = HEADINGS[module]
    for group in app.registered_groups:
        group.rich_help_panel = HEADINGS[module]
    return app


def main() -> None:
    """Run the command line; expected failures are one line on stderr and exit status 1."""
    asked = _asked()
    app = build([asked]) if asked in COMMANDS else build()
    try:
        app(prog_name="streamboss")
    except console.UsageError as error:
        console.say(f"streamboss: {error}")
        sys.exit(2)
    except StreamsError as error:
        for problem in getattr(error, "problems", [error]):
            console.say(f"streamboss: {problem}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(console.INTERRUPTED)


def _asked() -> str:
    """Return the command that was typed, or is about to be."""
    if sys.argv[1:]:
        return sys.argv[1]
    line = next(filter(None, map(os.environ.get, _COMPLETED)), "")
    # not its last word, which may be half typed
    return "".join(line.rpartition(" ")[0].split()[1:2])


def _nothing() -> None:
    """Run any program between two streams of messages."""


if __name__ == "__main__":
    main()
