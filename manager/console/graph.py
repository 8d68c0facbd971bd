"""What the first page draws: everything, or a part that can still be read. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from manager.console import numbers
from manager.console.feed import Look, OperationLook, StreamLook
from manager.console.wiring import Ends, Group, Thing, Wiring, along, wiring_of
from manager.model import Operation, OperationState

#: More things at once can't be read: then each pipeline is one, or somebody chooses where to look.
MOST = 120
#: A state is told by word and sign, too, never by colour alone. The one to look at first is first.
SIGNS = {
    OperationState.FAILED: "✖",
    OperationState.PAUSED: "❚❚",
    OperationState.STARTING: "◔",
    OperationState.DRAINING: "◒",
    OperationState.LINGERING: "◑",
    OperationState.RUNNING: "●",
    OperationState.IDLE: "○",
}


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Streams and operations that hang together, as one: where they begin, and how they are."""

    around: str
    streams: int
    states: Mapping[OperationState, int]
    backlog_messages: int | None
    dead_letters: int | None

    @property
    def worst(self) -> OperationState:
        """The state to look at first."""
        return next(state for state in SIGNS if state in self.states)

    @property
    def operations(self) -> int:
        """How many operations there are."""
        return sum(self.states.values())


@dataclass(frozen=True, slots=True)
class Part:
    """What is drawn of `total` streams and operations: pipelines, or things themselves.

    `beyond` says how many neighbours of a thing aren't drawn; `lone` counts the streams of no
    operation where pipelines are.
    """

    streams: Mapping[str, StreamLook]
    operations: Mapping[str, OperationLook]
    total: int
    beyond: Mapping[Thing, int]
    pipelines: Sequence[Pipeline] = ()
    hidden_pipelines: int = 0
    lone: int = 0

    @property
    def whole(self) -> bool:
        """Whether that is everything, one by one."""
        return len(self.streams) + len(self.operations) >= self.total

    @property
    def apart(self) -> Sequence[StreamLook]:
        """The streams that no operation here takes or makes, and those that somebody consumes."""
        made = [each.made for each in self.operations.values()]
        wired = {each.input_stream for each in made} | {each.output_stream for each in made}
        return [s for s in self.streams.values() if s.consumers or s.name not in wired]


def part_of(look: Look, around: str) -> Part:
    """Return what is nearest to a thing, or to all that have that text in their name.

    Without one it is everything; where that is too much, each pipeline is one thing.
    """
    names = tuple(name for name in look.streams if not name.startswith("streamboss."))
    total = len(names) + len(look.operations)
    if not around and total <= MOST:
        streams = {name: look.streams[name] for name in names}
        return Part(streams, _along(look, look.operations), total, {})
    wiring = wiring_of(names, tuple(_ends(each.made) for each in look.operations.values()))
    if not around:
        return _collapsed(look, wiring, total)
    near = wiring.near(around, MOST)
    return Part(
        {name: look.streams[name] for kind, name in near if kind == "stream"},
        _along(look, [name for kind, name in near if kind == "operation"]),
        total,
        {thing: more for thing in near if (more := len(set(wiring.beside[thing]) - near.keys()))},
    )


def elements(part: Part) -> list[dict[str, Any]]:
    """Return nodes and edges as Cytoscape takes them; ids tell kinds apart."""
    made = [_pipeline(one) for one in part.pipelines]
    for stream in part.streams.values():
        made += _stream(stream, part.beyond.get(("stream", stream.name), 0))
    for operation in part.operations.values():
        made += _operation(operation, part.beyond.get(("operation", operation.made.name), 0))
    there = {item["data"]["id"] for item in made if "source" not in item["data"]}
    return [
        item
        for item in made
        if "source" not in item["data"] or {item["data"]["source"], item["data"]["target"]} <= there
    ]


def _along(look: Look, operations: Iterable[str]) -> Mapping[str, OperationLook]:
    ends = [_ends(look.operations[name].made) for name in sorted(operations)]
    return {name: look.operations[name] for name in along(ends)}


def _ends(made: Operation) -> Ends:
    return Ends(made.name, made.input_stream, made.output_stream)


def _collapsed(look: Look, wiring: Wiring, total: int) -> Part:
    """Return each pipeline as one thing: failures first, then dead letters, then the large ones."""
    found = [_summed(look, group) for group in wiring.groups]
    found.sort(key=_urgency)
    hidden = max(0, len(found) - MOST)
    return Part({}, {}, total, {}, found[:MOST], hidden, wiring.lone)


def _summed(look: Look, group: Group) -> Pipeline:
    statuses = [look.operations[name].status for name in group.operations]
    return Pipeline(
        around=group.around,
        streams=group.streams,
        states=Counter(status.state for status in statuses),
        backlog_messages=_sum(status.backlog_messages for status in statuses),
        dead_letters=_sum(status.dead_letters for status in statuses),
    )


def _urgency(one: Pipeline) -> tuple[bool, bool, int, str]:
    failed = one.worst is OperationState.FAILED
    return not failed, not one.dead_letters, -one.operations, one.around


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _pipeline(one: Pipeline) -> dict[str, Any]:
    states = ", ".join(f"{one.states[s]} {s.value}" for s in SIGNS if s in one.states)
    told = [f"{one.around} …", f"{SIGNS[one.worst]} {states}"]
    told += [f"{numbers.count(one.backlog_messages)} waiting"] if one.backlog_messages else []
    told += _dead(one.dead_letters)
    return _node(
        f"pipeline {one.around}",
        "pipeline",
        "\n".join(told),
        f"/?around={quote(one.around)}",
        state=one.worst.value,
        dead=bool(one.dead_letters),
    )


def _dead(letters: int | None) -> list[str]:
    """Return what is said of dead letters: nothing, where there are none."""
    return [f"✖ {numbers.count(letters)} dead letter{'s' * (letters > 1)}"] if letters else []


def _stream(stream: StreamLook, more: int) -> list[dict[str, Any]]:
    name = stream.name
    place = f"/streams/{name}/"
    made = [_node(f"stream {name}", "stream", _label(name, more), place)]
    if stream.consumers:
        text = f"{stream.consumers} consumer{'s' * (stream.consumers > 1)}"
        made.append(_node(f"out {name}", "consumers", text, place))
        made.append(_edge(f"stream {name}", f"out {name}", stream.rate, ""))
    return made


def _operation(operation: OperationLook, more: int) -> list[dict[str, Any]]:
    made, status = operation.made, operation.status
    told = [f"{SIGNS[status.state]} {_label(made.name, more)}", status.state.value]
    told += _dead(status.dead_letters)
    waiting = status.backlog_messages
    said = f"{numbers.count(waiting)} waiting" if waiting else ""
    here, place = f"operation {made.name}", f"/operations/{made.name}/"
    return [
        _node(
            here,
            "operation",
            "\n".join(told),
            place,
            state=status.state.value,
            dead=bool(status.dead_letters),
        ),
        _edge(f"stream {made.input_stream}", here, status.rate_in, said),
        _edge(here, f"stream {made.output_stream}", status.rate_out, ""),
    ]


def _label(name: str, more: int) -> str:
    return f"{name} (+{more})" if more else name


def _node(name: str, kind: str, label: str, place: str, **more: str | bool) -> dict[str, Any]:
    return {"data": {"id": name, "kind": kind, "label": label, "place": place, **more}}


def _edge(source: str, target: str, rate: float | None, waiting: str) -> dict[str, Any]:
    told = [numbers.rate(rate)] if rate else []
    told += [waiting] if waiting else []
    return {
        "data": {
            "id": f"{source} > {target}",
            "source": source,
            "target": target,
            "rate": rate or 0,
            "label": "\n".join(told),
        }
    }
