"""The `streamboss` command. Imports only the commands asked for, so that it starts quickly."""

import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from streams.errors import StreamsError
from tools import console

#: Each command, and the module of `tools.commands` whose `app` has it; in the order of `--help`.
COMMANDS = {
    "apply": "pipeline",
    "export": "pipeline",
    "try": "trial",
    "up": "stack",
    "down": "stack",
    "status": "stack",
    "manager": "services",
    "agent": "services",
}
INTERRUPTED = 130


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
        app.add_typer(import_module(f"tools.commands.{module}").app)
    return app


def main() -> None:
    """Run the command line; expected failures are one line on stderr and exit status 1."""
    asked = sys.argv[1:2]
    app = build(asked) if asked and asked[0] in COMMANDS else build()
    try:
        app(prog_name="streamboss")
    except console.UsageError as error:
        console.say(f"streamboss: {error}")
        sys.exit(2)
    except StreamsError as error:
        sys.exit(f"streamboss: {error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _nothing() -> None:
    """Run any program between two streams of messages."""


if __name__ == "__main__":
    main()
