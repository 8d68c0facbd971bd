"""One seed from beginning to end: a chain is set up, attacked, seen to recover, and taken down."""

import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from manager.client import ManagerClient, ManagerError
from streams.names import subscription_queue
from tests.chaos.checker import Journal, problems
from tests.chaos.deeds import Undo, begin
from tests.chaos.leaks import leaks
from tests.chaos.rig import Rig
from tests.chaos.schedule import BURSTS, RUN_S, Schedule
from tests.eventually import eventually
from tests.traffic import Collector, Publisher

#: Messages published when all is well again.
_CALM = 20
_SETTLE_S, _RECOVER_S, _IDLE_S = 60.0, 120.0, 60.0
_LINGER_S = 0.3
_TICK_S = 0.02
_SUBSCRIPTION = "everything"


@dataclass
class Chain:
    """A seed's streams and operations, by names of its own."""

    schedule: Schedule
    mended_s: list[float] = field(default_factory=list)

    @property
    def prefix(self) -> str:
        """What the bodies of its messages begin with."""
        return f"s{self.schedule.seed}-"

    @property
    def streams(self) -> list[str]:
        """Its streams, in the order in which messages pass them."""
        return [f"{self.prefix}{number}" for number in range(len(self.schedule.stages) + 1)]

    @property
    def operations(self) -> list[str]:
        """Its operations, likewise."""
        return [f"{self.prefix}op{number}" for number in range(len(self.schedule.stages))]


def run(rig: Rig, schedule: Schedule) -> tuple[Journal, list[str]]:
    """Run a seed; return what was seen, and every broken promise."""
    chain = Chain(schedule)
    eventually(lambda: _set_up(rig, chain), within_s=_SETTLE_S, what="the chain is there")
    with ExitStack() as ends:
        queue = subscription_queue(chain.streams[-1], _SUBSCRIPTION)
        collector = ends.enter_context(Collector([rig.url("consumer")], chain.streams[-1], queue))
        rig.deployment.until("running", *chain.operations, within_s=_SETTLE_S)
        rig.node.note_queues()
        publisher = ends.enter_context(
            Publisher([rig.url("publisher")], chain.streams[0], chain.prefix)
        )
        _attack(rig, chain, publisher)
        calm = _calm_down(rig, publisher)
        _until_complete(collector, publisher)
        dead = [
            f"{letter['reason']}"
            for operation in chain.operations
            for letter in rig.deployment.client.dead_letters(operation)
        ]
    _take_down(rig, chain, queue)
    journal = Journal(
        prefix=chain.prefix,
        published_s=dict(publisher.published_s),
        confirmed_s=dict(publisher.confirmed_s),
        outputs=list(collector.came),
        archived=[record.body for record in rig.archived(chain.streams[0])],
        dead=dead,
        calm=calm,
        mended_s=chain.mended_s,
    )
    return journal, [*problems(schedule, journal), *leaks(rig, chain.prefix)]


def _set_up(rig: Rig, chain: Chain) -> bool:
    """Make what isn't there yet; say whether all of it is."""
    with suppress(ManagerError):  # no answer in time: asked again
        create(rig, chain)
        return True
    return False


def create(rig: Rig, chain: Chain) -> None:
    """Make the chain's streams and operations, and begin to archive the first."""
    client, streams = rig.deployment.client, chain.streams
    for stage, name, source, target in zip(
        chain.schedule.stages, chain.operations, streams, streams[1:], strict=False
    ):
        client.create_operation(
            name,
            rig.definitions[stage.kind],
            source,
            target,
            instances={"min": stage.instances, "max": stage.instances},
            linger_s=_LINGER_S,
        )
    client.begin_archive(streams[0])


def _attack(rig: Rig, chain: Chain, publisher: Publisher) -> None:
    """Publish in bursts, and let go wrong what the schedule says."""
    began_s, undo = time.monotonic(), list[tuple[float, Undo]]()
    waiting = list(chain.schedule.faults)
    while waiting or undo or time.monotonic() - began_s < RUN_S:
        now_s = time.monotonic() - began_s
        share = min(1.0, int(1 + BURSTS * now_s / RUN_S) / BURSTS)
        publisher.allowed = max(publisher.allowed, int(chain.schedule.messages * share))
        if waiting and waiting[0].at_s <= now_s:
            fault = waiting.pop(0)
            undo.append((now_s + fault.for_s, begin(rig, fault, chain.operations)))
        for due in [item for item in undo if item[0] <= now_s]:
            undo.remove(due)
            due[1]()
            chain.mended_s.append(time.monotonic())
        time.sleep(_TICK_S)
    publisher.allowed = chain.schedule.messages


def _calm_down(rig: Rig, publisher: Publisher) -> int:
    """Wait until all parts are there again; publish a few more, and return the first of them."""
    rig.ground.wait_ready()
    eventually(rig.is_whole, within_s=_RECOVER_S, what="manager and nodes are ready")
    _confirmed(publisher)
    calm = publisher.allowed
    publisher.allowed += _CALM
    _confirmed(publisher)
    return calm


def _confirmed(publisher: Publisher) -> None:
    eventually(lambda: publisher.done, within_s=_RECOVER_S, what="all is confirmed")


def _until_complete(collector: Collector, publisher: Publisher) -> None:
    """Wait for an output of each message; whether each came is the checker's to say."""
    deadline_s = time.monotonic() + _RECOVER_S
    while collector.different < publisher.allowed and time.monotonic() < deadline_s:
        time.sleep(_TICK_S)


def _unsubscribed(client: ManagerClient, chain: Chain) -> bool:
    """The manager may only now notice that its line to the broker was cut."""
    with suppress(ManagerError):
        client.remove_subscription(chain.streams[-1], _SUBSCRIPTION)
        return True
    return False


def _take_down(rig: Rig, chain: Chain, queue: str) -> None:
    """End demand and archive, wait until nothing is at work, remove all."""
    client = rig.deployment.client
    eventually(lambda: _unsubscribed(client, chain), what="the subscription is removed")
    client.stop_archive(chain.streams[0])
    eventually(
        lambda: client.archive(chain.streams[0])["state"] == "stopped",
        within_s=_IDLE_S,
        what="the archive is stopped",
    )
    rig.deployment.until("idle", *chain.operations, within_s=_IDLE_S)
    eventually(lambda: not rig.waiting(chain.prefix), what="no message is left")
    for operation in chain.operations:
        client.delete("operations", operation)
    for stream in chain.streams:
        client.delete("streams", stream)
