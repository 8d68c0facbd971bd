"""Two managers on one PostgreSQL and one cloud: one leads, whatever becomes of the other."""

import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from manager.client import ManagerClient
from provision.machine import APPLIANCE, NODE, OWNER, ROLE, TERM, Role
from streams.settings import Settings
from tests.deployment import ADMIN, Service
from tests.eventually import eventually
from tests.manager.machines.keeping import SECRETS, write_inventory
from tests.provision.conftest import front, machines_there, moto, moto_port
from tests.provision.front import Front
from tests.traffic import PlainConsumer
from tools.stack.ports import free_ports

__all__ = ["front", "machines_there", "moto", "moto_port"]
#: 10 s by the contract; the rest is for a busy computer.
FOLLOWED_S = 30.0
Running = Callable[[], dict[str, dict[str, str]]]


class _Manager:
    def __init__(self, folder: Path, settings: Settings, database_url: str, port: int) -> None:
        environment = {
            **SECRETS,
            "STREAMBOSS_AMQP_URL": ",".join(settings.need_amqp()),
            "STREAMBOSS_BROKER_API_URL": settings.need_broker_api(),
            "STREAMBOSS_DATABASE_URL": database_url,
            "STREAMBOSS_INVENTORY": str(folder / "inventory"),
            "STREAMBOSS_USER": ADMIN[0],
            "STREAMBOSS_PASSWORD": ADMIN[1],
        }
        self.url = f"http://127.0.0.1:{port}"
        words = ("manager", "--port", str(port))
        module = "tests.manager.machines.quick_manager"
        self.service = Service(folder / str(port), environment, *words, module=module)

    def leads(self) -> bool:
        """Say whether it answers, and leads."""
        try:
            told = httpx.get(f"{self.url}/metrics", auth=ADMIN, trust_env=False, timeout=10)
        except httpx.HTTPError:
            return False
        return bool(re.search(r"^streamboss_manager_leads 1\.0$", told.text, re.MULTILINE))

    def ready(self) -> bool:
        """Say whether it can do its work."""
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False, timeout=10).is_success
        except httpx.HTTPError:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.service.pid, number)


@pytest.fixture
def managers(
    settings: Settings, postgres_url: str, front: tuple[Front, int], tmp_path: Path
) -> Iterator[list[_Manager]]:
    """Two managers, each a process; the first one leads."""
    write_inventory(tmp_path, front[1])
    made = [_Manager(tmp_path, settings, postgres_url, p) for p in free_ports(2)]
    try:
        made[0].service.start()
        eventually(made[0].leads, within_s=100, what="the first one leads")
        made[1].service.start()
        eventually(made[1].ready, within_s=60, what="the second one is ready")
        yield made
    except BaseException:
        for each in (m for m in made if m.service.log.exists()):
            sys.stderr.write(each.service.log.read_text(errors="replace")[-5000:])
        raise
    finally:
        front[0].gates.clear()
        for each in made:
            each.service.kill()


def test_a_deposed_leader_launches_nothing_twice_and_a_dead_one_is_followed(
    managers: list[_Manager],
    settings: Settings,
    moto: Any,
    front: tuple[Front, int],
    machines_there: Running,
) -> None:
    first, second = managers
    assert not second.leads()
    # Given a leader that stands still while it launches a machine
    asked, answered = _held(front[0], "RunInstances")
    image = moto.register_image(Name="resize-1", Architecture="x86_64")["ImageId"]
    tags = {OWNER: "tests", APPLIANCE: "resize", ROLE: Role.IMAGE}
    moto.create_tags(Resources=[image], Tags=[{"Key": k, "Value": v} for k, v in tags.items()])
    _operation(first.url)
    with PlainConsumer(settings.need_amqp()[0], "out"):
        eventually(lambda: asked() == 1, within_s=60, what="the first one launches")
        first.signal(signal.SIGSTOP)
        # When the other one leads, gives that launch up, and launches, too
        eventually(second.leads, within_s=FOLLOWED_S, what="the second one leads")
        eventually(lambda: asked() == 2, within_s=60, what="the second one launches")
        # And both go on at the same moment
        first.signal(signal.SIGCONT)
        answered.set()
        # Then one machine is left, the one that is in the records
        eventually(lambda: len(_launched(front[0])) == 2, what="both were launched")
        eventually(lambda: len(machines_there()) == 1, within_s=60, what="one is left")
        ((handle, mine),) = machines_there().items()
        assert mine[TERM] == "2"
        eventually(lambda: len(_nodes(second.url)) == 1, within_s=30, what="one record is left")
        (node,) = _nodes(second.url)
        assert (node["name"], node["handle"]) == (mine[NODE], handle)
        assert (first.leads(), second.leads()) == (False, True)
        # And whoever follows a killed leader keeps it
        second.service.kill()
        eventually(first.leads, within_s=FOLLOWED_S, what="the first one leads again")
        eventually(lambda: _nodes(first.url), what="it knows the machine")
        assert [n["handle"] for n in _nodes(first.url)] == [handle]
        assert list(machines_there()) == [handle]
        assert asked() == 2


def _held(front: Front, action: str) -> tuple[Callable[[], int], threading.Event]:
    """Hold the cloud's answers to an action; return how many were asked, and what lets them go."""
    gate = front.gates[action] = threading.Event()
    return lambda: front.seen.count(action), gate


def _launched(front: Front) -> set[str]:
    return set(front.born)


def _operation(url: str) -> None:
    with _client(url) as client:
        whole = {"name": "cat", "application": "resize", "exec": "cat"}
        number = client.register({"definition": whole})
        client.create_operation("op", number, "in", "out")


def _nodes(url: str) -> list[dict[str, Any]]:
    with _client(url) as client:
        return [dict(node) for node in client.list("nodes")]


def _client(url: str) -> ManagerClient:
    return ManagerClient(Settings(manager_url=url, user=ADMIN[0], password=ADMIN[1]))
