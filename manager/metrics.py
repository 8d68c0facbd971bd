"""What Prometheus is told: operations, nodes, the manager itself."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from manager.machines.model import MachineRecord
from manager.model import (
    Archive,
    ArchiveState,
    ArchiveStatus,
    NodeState,
    NodeStatus,
    OperationState,
    OperationStatus,
)

_TALLIES = {
    "messages": "messages in the archive",
    "segments": "segments of the archive",
    "size_bytes": "bytes of the archive's segments",
}
_COUNTERS = ("received", "published", "acknowledged", "retried", "dead_lettered", "uncollected")


class _Now:
    """A collector of what is known at the time of asking."""

    def __init__(
        self,
        statuses: Mapping[str, OperationStatus],
        nodes: Iterable[NodeStatus],
        archives: Iterable[tuple[Archive, ArchiveStatus]],
        machines: Iterable[MachineRecord],
        *,
        leads: bool,
        live: bool,
    ) -> None:
        self._statuses = statuses
        self._nodes = list(nodes)
        self._archives, self._machines = list(archives), list(machines)
        self._leads, self._live = leads, live

    def collect(self) -> Iterable[Metric]:
        """Yield each family of figures."""
        yield GaugeMetricFamily(
            "streamboss_manager_leads", "1 where this manager leads", value=float(self._leads)
        )
        yield GaugeMetricFamily(
            "streamboss_manager_sees_events",
            "1 where changes on the broker are seen at once, 0 where it is asked every 2 s",
            value=float(self._live),
        )
        yield self._states()
        for name in _COUNTERS:
            yield self._counter(name)
        yield self._backlog("backlog_messages", "messages that wait or are being worked on")
        yield self._backlog("dead_letters", "messages given up on")
        yield self._node_states()
        yield from self._machine_phases()
        yield self._archive_states()
        yield from self._archive_tallies()

    def _states(self) -> Metric:
        family = GaugeMetricFamily(
            "streamboss_operation_state", "1 for the state it is in", labels=("operation", "state")
        )
        for operation, status in self._statuses.items():
            for state in OperationState:
                family.add_metric((operation, state), float(status.state is state))
        return family

    def _counter(self, name: str) -> Metric:
        family = CounterMetricFamily(
            f"streamboss_operation_{name}",
            "messages since its operators started",
            labels=["operation"],
        )
        for operation, status in self._statuses.items():
            family.add_metric([operation], getattr(status.counters, name))
        return family

    def _backlog(self, name: str, text: str) -> Metric:
        family = GaugeMetricFamily(f"streamboss_operation_{name}", text, labels=["operation"])
        for operation, status in self._statuses.items():
            value = getattr(status, name)
            if value is not None:
                family.add_metric([operation], value)
        return family

    def _node_states(self) -> Metric:
        family = GaugeMetricFamily(
            "streamboss_node_state", "1 for the state it is in", labels=("node", "state")
        )
        for node in self._nodes:
            for state in NodeState:
                family.add_metric((node.name, state), float(node.state is state))
        return family

    def _machine_phases(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "streamboss_machines", "machines that were launched", labels=("cloud", "phase")
        )
        counts = Counter((machine.cloud, machine.phase) for machine in self._machines)
        for (cloud, phase), count in sorted(counts.items()):
            family.add_metric((cloud, phase), count)
        yield family
        prices = defaultdict[str, float](float)
        for machine in self._machines:
            prices[machine.cloud] += machine.price_per_hour or 0.0
        price = GaugeMetricFamily(
            "streamboss_machines_price", "what they cost an hour, as far as known", labels=["cloud"]
        )
        for cloud, value in sorted(prices.items()):
            price.add_metric([cloud], value)
        yield price

    def _archive_states(self) -> Metric:
        family = GaugeMetricFamily(
            "streamboss_archive_state", "1 for the state it is in", labels=("stream", "state")
        )
        for archive, status in self._archives:
            for state in ArchiveState:
                family.add_metric((archive.stream, state), float(status.state is state))
        return family

    def _archive_tallies(self) -> Iterator[Metric]:
        for name, text in _TALLIES.items():
            family = GaugeMetricFamily(f"streamboss_archive_{name}", text, labels=["stream"])
            for archive, _ in self._archives:
                family.add_metric([archive.stream], getattr(archive.tally, name))
            yield family
        lag = GaugeMetricFamily(
            "streamboss_archive_lag_messages", "messages not yet stored", labels=["stream"]
        )
        for archive, status in self._archives:
            if status.lag_messages is not None:
                lag.add_metric([archive.stream], status.lag_messages)
        yield lag


def exposition(
    statuses: Mapping[str, OperationStatus],
    nodes: Iterable[NodeStatus],
    archives: Iterable[tuple[Archive, ArchiveStatus]],
    machines: Iterable[MachineRecord],
    *,
    leads: bool,
    live: bool,
) -> bytes:
    """Return everything in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Now(statuses, nodes, archives, machines, leads=leads, live=live))
    return generate_latest(registry)
