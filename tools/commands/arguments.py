"""Arguments and options that several commands share."""

from typing import Annotated

import typer

from tools import names

Stream = Annotated[str, typer.Argument(metavar="STREAM", autocompletion=names.streams)]
Operation = Annotated[str, typer.Argument(metavar="OPERATION", autocompletion=names.operations)]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
