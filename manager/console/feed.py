"""What all pages show: one picture of everything, made once for all who look, and only for them."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from manager.console.stored import Stored
from manager.model import Archive, ArchiveStatus, Operation, OperationStatus, Stream, StreamRate
from manager.nodes import Node, all_nodes
from manager.replays.state import Replay
from manager.services import Services
from streams.errors import BrokerError, StreamsError

#: A picture is used for so long, and for so many times the CPU that it took: making them takes a
#: tenth of a core at most.
_FRESH_S, _TIMES = 0.5, 10
#: The broker counts every 5 s; it is asked no more often, and less when that is work for it.
_RATES_S, _LONGEST_S = 2.5, 30.0
#: So many replays are watched.
_REPLAYS = 50
#: Nodes say something every 2 s, each at another moment.
_NODES_S = 1.0


@dataclass(frozen=True, slots=True)
class StreamLook:
    """A stream: consumers outside, and what comes and goes a second; None: nobody knows."""

    name: str
    owner: str
    consumers: int
    rate: float | None = None
    rate_out: float | None = None
    last_at: datetime | None = None
    archive: str = ""


@dataclass(frozen=True, slots=True)
class OperationLook:
    """An operation and what it does."""

    made: Operation
    status: OperationStatus


@dataclass(frozen=True, slots=True)
class ArchiveLook:
    """An archive and how it is."""

    made: Archive
    status: ArchiveStatus


@dataclass(frozen=True, slots=True)
class Look:
    """Everything at one moment. Numbers rise with each that differs from the one before.

    Nodes have one of their own, since load always changes; `activity` is that of the last event.
    """

    streams: Mapping[str, StreamLook] = field(default_factory=dict)
    operations: Mapping[str, OperationLook] = field(default_factory=dict)
    archives: Mapping[str, ArchiveLook] = field(default_factory=dict)
    #: the newest ones of all streams
    replays: tuple[Replay, ...] = ()
    problems: tuple[str, ...] = ()
    broker_up: bool = True
    number: int = field(default=0, compare=False)
    nodes: Mapping[str, Node] = field(default_factory=dict, compare=False)
    nodes_number: int = field(default=0, compare=False)
    activity: int = field(default=0, compare=False)
    at: datetime = field(default_factory=lambda: datetime.now(UTC), compare=False)


class Feed:
    """Gives the latest picture to any thread; who comes when it is old makes the next one."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._look = Look()
        self._until_s = float("-inf")
        self._rates: Mapping[str, StreamRate] | None = None
        self._rates_until_s = self._nodes_until_s = float("-inf")
        self._last: dict[str, tuple[int, datetime | None]] = {}
        self._counted = False
        self._stored = Stored(services.store)
        self._idle: dict[str, StreamLook] = {}
        self._idle_up = False

    def look(self, about: str = "") -> Look:
        """Return the latest picture; a new one if it lacks what a page is about: it's just made.

        Raises:
            StoreUnavailableError: there is none without the store.
        """
        look = self._latest()
        if about and about not in look.streams and about not in look.operations:
            self.renew()
            look = self._latest()
        return look

    def _latest(self) -> Look:
        with self._lock:
            began_s = time.monotonic()
            if began_s >= self._until_s:
                worked_s = time.thread_time()
                before, new = self._look, self._made()
                same = new == before
                self._look = replace(new, number=self._look.number + (not same))
                self._look = self._with_nodes(self._look, before)
                worked_s = time.thread_time() - worked_s
                self._until_s = began_s + max(_FRESH_S, _TIMES * worked_s)
            return self._look

    def renew(self) -> None:
        """Let the next look be a new one: something was changed here."""
        with self._lock:  # a look that is under way may not have seen it
            self._until_s = self._nodes_until_s = float("-inf")

    def _made(self) -> Look:
        services, runtime = self._services, self._services.runtime
        rates, known = self._read_rates(), runtime.statuses()
        archives = {
            a.stream: ArchiveLook(a, runtime.archive_status(a))
            for a in services.store.list_archives()
        }
        if self._stored.refresh() or self._idle_up != (rates is not None):
            self._idle_up = rates is not None
            self._idle = {s.name: self._idle_look(s) for s in self._stored.streams.values()}
        operations = {
            o.name: OperationLook(o, self._status(known.get(o.name), rates is not None))
            for o in self._stored.operations.values()
        }
        replays = services.store.page_replays(stream=None, limit=_REPLAYS, offset=0)
        return Look(
            self._streams(rates, archives),
            operations,
            archives,
            tuple(replays.items),
            tuple(runtime.problems()),
            rates is not None,
        )

    def _with_nodes(self, look: Look, before: Look) -> Look:
        """Return the picture with its nodes, which are looked at less often, and the activity."""
        nodes, number = before.nodes, before.nodes_number
        if (now_s := time.monotonic()) >= self._nodes_until_s:
            self._nodes_until_s = now_s + _NODES_S
            nodes = {node.name: node for node in all_nodes(self._services)}
            number += nodes != before.nodes
        last = self._services.store.last_event()
        return replace(look, nodes=nodes, nodes_number=number, activity=last)

    def _streams(
        self, rates: Mapping[str, StreamRate] | None, archives: Mapping[str, ArchiveLook]
    ) -> dict[str, StreamLook]:
        """Return each stream; of many most are idle, and those need no thought."""
        consumers = self._services.runtime.stream_consumers(self._idle)
        busy = {name for name, count in consumers.items() if count}
        busy |= self._idle.keys() & (self._lately(rates) | archives.keys())
        shown = dict(self._idle)
        for name in busy:
            archive = archives.get(name)
            rate, rate_out, last_at = self._traffic(name, rates)
            shown[name] = StreamLook(
                name,
                shown[name].owner,
                consumers[name],
                rate,
                rate_out,
                last_at,
                archive.status.state.value if archive else "",
            )
        return shown

    def _lately(self, rates: Mapping[str, StreamRate] | None) -> set[str]:
        """Return the streams of which more is known than that nothing comes."""
        if rates is None:
            return {name for name, (_, last_at) in self._last.items() if last_at}
        return {
            name
            for name, rate in rates.items()
            if rate.rate or rate.rate_out or self._last.get(name) != (rate.messages, None)
        }

    def _idle_look(self, stream: Stream) -> StreamLook:
        rate = 0.0 if self._idle_up else None
        return StreamLook(stream.name, stream.owner, 0, rate, rate)

    def _status(self, status: OperationStatus | None, broker_up: bool) -> OperationStatus:  # noqa: FBT001
        """Return what is known of an operation; without the broker that is less."""
        status = status or OperationStatus(reason="not looked at yet")
        if broker_up:
            return status
        return replace(
            status, rate_in=None, rate_out=None, backlog_messages=None, dead_letters=None
        )

    def _traffic(
        self, stream: str, rates: Mapping[str, StreamRate] | None
    ) -> tuple[float | None, float | None, datetime | None]:
        if rates is None:
            return None, None, self._last.get(stream, (0, None))[1]
        rate = rates.get(stream)
        if rate is None:
            return 0.0, 0.0, None
        before, last_at = self._last.get(stream, (0, None))
        if rate.messages not in {before, 0}:  # a broker that started anew counts from 0
            last_at = datetime.now(UTC)
        self._last[stream] = rate.messages, last_at
        return rate.rate, rate.rate_out, last_at

    def _count_from(self, rates: Mapping[str, StreamRate]) -> None:
        """Take the first counts as given: of what came before, nobody knows when."""
        if not self._counted:
            self._counted = True
            self._last = {name: (rate.messages, None) for name, rate in rates.items()}

    def _read_rates(self) -> Mapping[str, StreamRate] | None:
        """Return what the broker counts, or None while it is away."""
        began_s = time.monotonic()
        if not self._services.runtime.broker.connected:
            self._rates = None
        elif began_s >= self._rates_until_s:
            try:
                self._rates = self._services.runtime.broker.stream_rates()
                self._count_from(self._rates)
            except BrokerError:
                self._rates = None
            now_s = time.monotonic()
            pause_s = min(_LONGEST_S, _TIMES * (now_s - began_s))
            self._rates_until_s = now_s + max(_RATES_S, pause_s)
        return self._rates


def numbers_of(feed: Feed) -> dict[str, int | bool]:
    """Return the picture's numbers, and whether all that it shows is `known`; never fails."""
    try:
        look = feed.look()
    except StreamsError:
        return {"look": -1, "known": False}
    return {
        "look": look.number,
        "nodes": look.nodes_number,
        "activity": look.activity,
        "known": look.broker_up,
    }
