"""`manager` and `agent`: the two services, in the foreground."""

import os
from pathlib import Path
from typing import Annotated

import typer

from streams.settings import Settings

app = typer.Typer()


@app.command()
def manager(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help="Port; by default 8081, or any if that is taken.")
    ] = None,
) -> None:
    """Run the stream manager until SIGTERM. Prints its address when it may be asked.

    Example: streamboss manager --port 8081
    """
    from manager import app as service

    service.run(Settings.load(os.environ, Path.cwd()), host, port)


@app.command()
def agent(
    *,
    config: Annotated[Path, typer.Option(help="The file that 'streamboss node add' makes.")] = Path(
        "agent.json"
    ),
    run_as: Annotated[
        str | None, typer.Option(metavar="USER", help="Who runs programs; by default the agent.")
    ] = None,
) -> None:
    """Be this machine's agent until SIGTERM, which drains it; a second one ends it at once.

    Example: streamboss agent --config agent.json
    """
    from agent import node

    raise typer.Exit(node.run(config, run_as=run_as))
