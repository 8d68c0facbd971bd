"""The first page: streams and operations, from left to right."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from manager.console import numbers
from manager.console.feed import Look, OperationLook, StreamLook
from manager.console.pages import HEADERS, page
from manager.console.visitor import Here, Person

router = APIRouter()
#: More things at once can't be read: then somebody chooses where to look.
MOST = 120
Around = Annotated[str, Query(max_length=100)]


@dataclass(frozen=True, slots=True)
class Part:
    """The streams and operations that are shown, of how many there are."""

    streams: Mapping[str, StreamLook]
    operations: Mapping[str, OperationLook]
    total: int

    @property
    def whole(self) -> bool:
        """Whether that is everything."""
        return len(self.streams) + len(self.operations) >= self.total


@router.get("/")
def show(request: Request, here: Here, person: Person, around: Around = "") -> Response:
    """Show everything, or what is near one thing."""
    look = here.feed.look()
    part = part_of(look, around)
    return page(request, "topology", person, look=look, part=part, around=around)


@router.get("/topology/")
def graph(here: Here, _: Person, around: Around = "") -> JSONResponse:
    """Return the same for the drawing: nodes and edges."""
    return JSONResponse({"elements": elements(part_of(here.feed.look(), around))}, headers=HEADERS)


def part_of(look: Look, around: str) -> Part:
    """Return what is nearest to a thing, or to all that have that text in their name. Pure."""
    streams = {n: s for n, s in look.streams.items() if not n.startswith("streamboss.")}
    total = len(streams) + len(look.operations)
    reached = _near(look, around) if around or total > MOST else None
    if reached is None:
        return Part(streams, look.operations, total)
    return Part(
        {name: streams[name] for kind, name in reached if kind == "stream" and name in streams},
        {name: look.operations[name] for kind, name in reached if kind == "operation"},
        total,
    )


def _near(look: Look, around: str) -> list[tuple[str, str]]:
    """Return things in the order of their distance from those that are meant, `MOST` at most."""
    beside: dict[tuple[str, str], list[tuple[str, str]]] = {("stream", s): [] for s in look.streams}
    for name, operation in look.operations.items():
        ends = (operation.made.input_stream, operation.made.output_stream)
        beside["operation", name] = [("stream", end) for end in ends if end in look.streams]
        for end in beside["operation", name]:
            beside[end].append(("operation", name))
    exact = [thing for thing in beside if thing[1] == around]
    waiting = deque(exact or [t for t in sorted(beside) if around.casefold() in t[1].casefold()])
    found: dict[tuple[str, str], None] = {}
    while waiting and len(found) < MOST:
        thing = waiting.popleft()
        if thing not in found:
            found[thing] = None
            waiting.extend(beside[thing])
    return list(found)


def elements(part: Part) -> list[dict[str, Any]]:
    """Return nodes and edges as Cytoscape takes them; ids tell kinds apart. Pure."""
    made: list[dict[str, Any]] = []
    for name, stream in part.streams.items():
        made.append(_node("stream", name, stream.rate, label=name))
        if stream.consumers:
            text = f"{stream.consumers} consumer{'s' * (stream.consumers > 1)}"
            made.append({"data": {"id": f"out {name}", "label": text, "kind": "consumers"}})
            made.append(_edge(f"stream {name}", f"out {name}", stream.rate, ""))
    for name, operation in part.operations.items():
        status = operation.status
        label = f"{_SIGNS[status.state.value]} {name}\n{status.state.value}"
        made.append(_node("operation", name, None, label=label, state=status.state.value))
        waiting = status.backlog_messages
        said = f"{numbers.count(waiting)} waiting" if waiting else ""
        for source, target, rate, text in (
            (f"stream {operation.made.input_stream}", f"operation {name}", status.rate_in, said),
            (f"operation {name}", f"stream {operation.made.output_stream}", status.rate_out, ""),
        ):
            if source.removeprefix("stream ") in part.streams or source == f"operation {name}":
                made.append(_edge(source, target, rate, text))
    there = {item["data"]["id"] for item in made if "source" not in item["data"]}
    return [
        item
        for item in made
        if "source" not in item["data"] or {item["data"]["source"], item["data"]["target"]} <= there
    ]


#: A state is told by word and sign, too, never by colour alone.
_SIGNS = {
    "idle": "○",
    "starting": "◔",
    "running": "●",
    "lingering": "◑",
    "draining": "◒",
    "paused": "❚❚",
    "failed": "✖",
}


def _node(kind: str, name: str, rate: float | None, **more: str) -> dict[str, Any]:
    place = f"/{kind}s/{name}/"
    return {
        "data": {"id": f"{kind} {name}", "kind": kind, "place": place, "rate": rate or 0, **more}
    }


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
