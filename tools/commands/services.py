"""`manager` and `agent`: the two services, in the foreground."""

import os
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streams.settings import Settings
from tools import console

app = typer.Typer()


class Role(StrEnum):
    """What a manager does: answer and reconcile; record archives; play replays; end leases."""

    MANAGER = "manager"
    ARCHIVER = "archiver"
    REPLAYER = "replayer"
    REAPER = "reaper"


@app.command()
def manager(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help="Port; by default 8081, or any if that is taken.")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Serve by TLS with this, in PEM.")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="The certificate's key.")] = None,
    role: Annotated[
        list[Role] | None,
        typer.Option(help="Be only this; more than once for more. By default everything."),
    ] = None,
) -> None:
    """Run the stream manager until SIGTERM. Prints its address when it may be asked.

    Example: streamboss manager --port 8081

    Example: streamboss manager --role archiver
    """
    settings = Settings.load(os.environ, Path.cwd())
    roles = set(role or Role)
    if (certificate is None) != (key is None):
        raise console.UsageError("--certificate and --key belong together")
    if Role.MANAGER in roles:
        from manager import app as service

        tls = (certificate, key) if certificate and key else None
        service.run(settings, host, port, roles=roles, tls=tls)
    else:
        _run_apart(settings, roles)


def _run_apart(settings: Settings, roles: set[Role]) -> None:
    from manager import ending, reaper
    from manager.archiver import process as archiver
    from manager.replays import process as replayer

    with reaper.reaping(settings) if Role.REAPER in roles else nullcontext():
        if Role.ARCHIVER in roles:
            with replayer.replaying(settings) if Role.REPLAYER in roles else nullcontext():
                archiver.run(settings)
        elif Role.REPLAYER in roles:
            replayer.run(settings)
        else:
            ending.at_signals().wait()


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
