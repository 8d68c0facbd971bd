"""From a consumer's arrival to the first output, where a machine has to be launched for it.

On the local cloud, with the embedded stack and an image that this builds first. Beside it a bare
machine of the same cloud, until its sshd answers.
"""

import json
import time
from collections.abc import Iterator
from datetime import datetime

from bench.clouds import LIMIT, bare_s
from bench.path import Turn
from bench.scenario import Goal, Scenario, value
from provision.drivers.local import base
from tests.appliances.desk import Desk, sat_down
from tests.appliances.elastic import BOOT_S, Fleet
from tests.eventually import eventually
from tests.rabbit import BrokerNode

COLD, WARM = "cold: to the first output", "warm: to the first output"
#: A machine waits so long for other work: enough to come back to it.
_IDLE_MINUTES = 0.25
TIMES = 3
_STEPS = {"booting": "of it, until the cloud gave a machine", "ready": "of it, until it was heard"}


def cold(_: BrokerNode) -> Iterator[Turn]:
    """Demand that finds no machine, and demand that finds one, several times."""
    base.ensure()
    with sat_down() as desk:
        _keep_for_a_while(desk)
        desk.fab("build_appliance")
        fleet = Fleet(desk)
        fleet.operation("op")
        for _turn in range(TIMES):
            yield Turn(LIMIT, bare_s(), unit="s")
            yield from _demand(fleet)
        fleet.remove("op")


def _demand(fleet: Fleet) -> Iterator[Turn]:
    asked_at = time.time()
    yield Turn(COLD, _first_output_s(fleet), unit="s")
    for phase, name in _STEPS.items():
        yield Turn(name, _told_at(fleet, phase) - asked_at, unit="s")
    yield Turn(WARM, _first_output_s(fleet), unit="s")
    fleet.until_gone()


def _first_output_s(fleet: Fleet) -> float:
    started = time.monotonic()
    consumer = fleet.consume("op", "--count", "1")
    fleet.publish("op", "hello")
    consumer.line(BOOT_S)
    took_s = time.monotonic() - started
    fleet.person.leave()
    eventually(lambda: fleet.state("op") == "idle", within_s=60, what="it is idle")
    return took_s


def _told_at(fleet: Fleet, phase: str) -> float:
    """Return when a machine last came to a phase, in seconds since 1970."""
    events = fleet.person.http("GET", "activity/?kind=machine.phase&limit=100")["objects"]
    at = next(event["at"] for event in events if event["to"] == phase)
    return datetime.fromisoformat(at).timestamp()


def _keep_for_a_while(desk: Desk) -> None:
    path = desk.folder / "inventory" / "clouds.yaml"
    inventory = json.loads(path.read_text())
    inventory["appliances"]["stream-agent"]["idle_minutes"] = _IDLE_MINUTES
    path.write_text(json.dumps(inventory))


SCENARIO = Scenario(
    "cold",
    "How long to the first output, if a machine has to be launched? (less is better)",
    LIMIT,
    cold,
    goals=(Goal("cold: 5 s", value(COLD), at_most=5),),
    rounds=1,
    longest_s=600,
)
