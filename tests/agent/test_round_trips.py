"""Whatever bytes go in come out of `cat`, in every framing: bodies chosen by hypothesis."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.protocol import ExitStatus
from streams.framing import Framing
from streams.message import Message
from tests.agent.operating import Operator, Pipeline, defined, operating
from tests.eventually import eventually
from tests.rabbit import BrokerNode

#: What each framing can't carry inside a message.
SEPARATOR = {Framing.LINES: b"\n", Framing.NUL: b"\0"}
WAYS = [("single", None, None)] + [
    ("service", framing, replies) for framing in Framing for replies in ("any", "one")
]


@dataclass
class Running:
    """A `cat` between two streams, and how many outputs were looked at already."""

    pipeline: Pipeline
    operator: Operator
    seen: int = 0

    def echo(self, bodies: list[bytes], expected: int) -> list[bytes]:
        """Send `bodies` and return what comes back."""
        self.pipeline.publish(*map(Message, bodies))
        until = self.seen + expected
        eventually(lambda: len(self.pipeline.outputs()) >= until)
        new = self.pipeline.bodies()[self.seen :]
        self.seen = len(self.pipeline.outputs())
        return new


@pytest.fixture(scope="module")
def cats(
    broker_node: BrokerNode, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Running]]:
    """A `cat` for each way, running."""
    running = {}
    with broker_node.vhost() as broker, ExitStack() as stack:
        urls = broker.need_amqp()
        for way in WAYS:
            name = _id(way)
            pipeline = stack.enter_context(Pipeline(urls, name))
            fields = {"process_type": way[0], "framing": way[1], "replies": way[2]}
            definition = defined("cat", **{k: v for k, v in fields.items() if v is not None})
            folder = tmp_path_factory.mktemp(name)
            operator = stack.enter_context(operating(urls, pipeline, definition, folder))
            running[name] = Running(pipeline, operator)
        yield running
        for cat in running.values():
            assert cat.operator.drain() == ExitStatus.DRAINED
            assert not cat.pipeline.dead()
            assert len(cat.pipeline.outputs()) == cat.seen


def _id(way: tuple[str, Framing | None, str | None]) -> str:
    return "-".join(word for word in way if word)


def _expected(framing: Framing | None, body: bytes) -> list[bytes]:
    """Return the messages that come back for one body."""
    if framing not in SEPARATOR:
        return [body] if body else []
    pieces = body.removesuffix(SEPARATOR[framing]).split(SEPARATOR[framing])
    return [piece for piece in pieces if piece]


def _round_trip(
    cats: dict[str, Running], framing: Framing | None, way: str, bodies: list[bytes]
) -> None:
    expected = [piece for body in bodies for piece in _expected(framing, body)]
    assert cats[way].echo(bodies, len(expected)) == expected


def _suit(way: tuple[str, Framing | None, str | None], body: bytes) -> bool:
    """Say whether one answer is possible for `body`: no separator inside it."""
    _, framing, replies = way
    if replies != "one" or framing not in SEPARATOR:
        return True
    return SEPARATOR[framing] not in body.removesuffix(SEPARATOR[framing])


BODIES = st.lists(
    st.one_of(st.binary(max_size=300), st.text("ab\n\0", max_size=9).map(str.encode)), max_size=6
)


@pytest.mark.parametrize("way", WAYS, ids=_id)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(bodies=BODIES)
def test_bodies_come_back_exactly(
    cats: dict[str, Running], way: tuple[str, Framing | None, str | None], bodies: list[bytes]
) -> None:
    _round_trip(cats, way[1], _id(way), [body for body in bodies if _suit(way, body)])


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS, ids=_id)
@settings(
    max_examples=256, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(bodies=BODIES)
def test_many_more_bodies_come_back_exactly(
    cats: dict[str, Running], way: tuple[str, Framing | None, str | None], bodies: list[bytes]
) -> None:
    _round_trip(cats, way[1], _id(way), [body for body in bodies if _suit(way, body)])
