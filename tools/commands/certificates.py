"""`certificates`: a CA of one's own, for a broker and a manager that others reach by TLS."""

from pathlib import Path
from typing import Annotated

import typer

from tools import console

app = typer.Typer()


@app.command()
def certificates(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the files are.")],
    hosts: Annotated[
        list[str], typer.Argument(metavar="HOST...", help="Names and addresses of the server.")
    ],
) -> None:
    """Make a CA, once, and a server's certificate by it; anew when it nears its end.

    Example: streamboss certificates /etc/streamboss/tls boss.example 10.0.0.5
    """
    from manager import certificates as made

    new = made.ensure(folder, hosts)
    console.say(f"{folder / made.CERTIFICATE}: {'made' if new else 'unchanged'}")
