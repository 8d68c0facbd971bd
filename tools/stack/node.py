"""The stack's own agent: joins through the manager, like any other."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from manager.client import ManagerClient, ManagerError
from streams.settings import Settings
from tools.stack.errors import StackError
from tools.stack.parts import AGENT_FILE, Part
from tools.stack.readiness import Waiting
from tools.stack.state import State, write_private

NODE = "local"
SLOTS = 200
#: An agent that isn't there by then has lost its login, most likely: it gets another.
_FIRST_TRY_S = 20.0


def join(state: State, agent: Part, waiting: Waiting) -> None:
    """Run the agent, with a file that fits the broker and the manager of now.

    Raises:
        StackError: it doesn't get ready.
    """
    place = waiting.folder
    settings = Settings.load(state.environment(place), place)
    with ManagerClient(settings) as manager:
        if not _fits(place / AGENT_FILE, settings.need_amqp()) or not _known(manager):
            _admit(manager, waiting)
        probe = partial(_missing, manager)
        waiting.supervisor.start(agent.name)
        try:
            waiting.until_ready(agent, probe, _FIRST_TRY_S)
        except StackError:
            waiting.progress.note("agent: gets a new login")
            _admit(manager, waiting)
            waiting.supervisor.start(agent.name)
            waiting.until_ready(agent, probe)


def _admit(manager: ManagerClient, waiting: Waiting) -> None:
    waiting.supervisor.stop("agent")
    if _known(manager):
        manager.delete("nodes", NODE)
    config = manager.add_node(NODE, offers=["any"], slots=SLOTS)
    config["scratch"] = str(waiting.folder / "scratch")
    write_private(waiting.folder / AGENT_FILE, json.dumps(config, indent=1) + "\n")


def _known(manager: ManagerClient) -> bool:
    return any(node["name"] == NODE for node in manager.list("nodes"))


def _missing(manager: ManagerClient) -> str:
    try:
        state = str(manager.get("nodes", NODE)["state"])
    except ManagerError as error:
        return str(error)
    return "" if state == "ready" else f"the manager calls it {state}"


def _fits(file: Path, amqp_urls: Sequence[str]) -> bool:
    """Say whether an `agent.json` leads to the broker of now: ports may have been chosen again."""
    try:
        config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return {_place(url) for url in config["amqp_urls"]} == {_place(url) for url in amqp_urls}
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _place(url: str) -> tuple[str | None, int | None, str]:
    parts = urlsplit(url)
    return parts.hostname, parts.port, parts.path.rstrip("/").replace("%2F", "")
