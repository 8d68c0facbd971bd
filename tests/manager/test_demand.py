"""Demand: tables of who wants what, and what holds for any topology."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.demand import Binding, BrokerView, stream_consumers, wanted_operations
from manager.model import DemandMode, Operation
from tests.manager.planning import broker_view, operation

CHAIN = [operation("1", "a", "b"), operation("2", "b", "c"), operation("3", "c", "d")]
CYCLE = [operation("there", "a", "b"), operation("back", "b", "a")]

#: what: operations, bindings as "exchange > queue" or "exchange >> exchange", consumed, wanted
TABLE = {
    "nobody": (CHAIN, [], {}, set()),
    "the last stream": (CHAIN, ["streams.d > mine"], {"mine": 1}, {"1", "2", "3"}),
    "the middle": (CHAIN, ["streams.c > mine"], {"mine": 1}, {"1", "2"}),
    "a queue without a consumer": (CHAIN, ["streams.d > mine"], {}, set()),
    "our own consumer": (
        CHAIN,
        ["streams.b > consumers.b.x"],
        {"consumers.b.x": 1},
        {"1"},
    ),
    "a subscription without a consumer": (CHAIN, ["streams.b > subscriptions.b.s"], {}, {"1"}),
    "an archive while its archiver is down": (CHAIN, ["streams.b > archives.b"], {}, {"1"}),
    "a tap": (CHAIN, ["streams.b > taps.b.x"], {"taps.b.x": 1}, set()),
    "dead letters": (CHAIN, ["streams.b > operations.1.dead"], {"operations.1.dead": 1}, set()),
    "an operation that nobody wants": (
        CHAIN,
        ["streams.b > operations.2"],
        {"operations.2": 1},
        set(),
    ),
    "a queue behind two exchanges": (
        CHAIN,
        ["streams.d >> other", "other >> last", "last > mine"],
        {"mine": 1},
        {"1", "2", "3"},
    ),
    "exchanges in a circle": (CHAIN, ["streams.d >> x", "x >> streams.d"], {}, set()),
    "one stream handed to another": (
        CHAIN,
        ["streams.b >> streams.other", "streams.other > mine"],
        {"mine": 2},
        {"1"},
    ),
    "a cycle alone": (
        CYCLE,
        ["streams.a > operations.there", "streams.b > operations.back"],
        {"operations.there": 1, "operations.back": 1},
        set(),
    ),
    "a cycle with somebody outside": (CYCLE, ["streams.b > q"], {"q": 1}, {"there", "back"}),
    "always, and what feeds it": (
        [CHAIN[0], operation("2", "b", "c", demand=DemandMode.ALWAYS), CHAIN[2]],
        [],
        {},
        {"1", "2"},
    ),
    "paused counts as wanted": (
        [CHAIN[0], operation("2", "b", "c", demand=DemandMode.PAUSED)],
        ["streams.c > q"],
        {"q": 1},
        {"1", "2"},
    ),
}


@pytest.mark.parametrize("what", TABLE)
def test_who_is_wanted(what: str) -> None:
    operations, bindings, consumed, wanted = TABLE[what]
    assert wanted_operations(operations, broker_view(bindings, consumed)) == wanted


def test_consumers_of_a_stream_are_the_queues_outside_that_collect_it() -> None:
    bindings = ["streams.a > x", "streams.a > y", "streams.a > taps.a.t", "streams.a > idle"]
    view = broker_view(bindings, {"x": 3, "y": 1, "taps.a.t": 1})
    assert stream_consumers(["a", "b"], view) == {"a": 2, "b": 0}


STREAMS = st.sampled_from("abcde")
OPERATIONS = st.dictionaries(
    st.sampled_from("123456"), st.tuples(STREAMS, STREAMS), max_size=6
).map(lambda made: [operation(name, *ends) for name, ends in made.items()])
BINDINGS = st.frozensets(
    st.builds(
        lambda source, target: Binding(f"streams.{source}", f"streams.{target}", to_exchange=True),
        STREAMS,
        STREAMS,
    ),
    max_size=4,
)


@given(OPERATIONS, BINDINGS)
def test_without_anybody_outside_nothing_is_wanted(
    operations: list[Operation], bindings: frozenset[Binding]
) -> None:
    own = {Binding(f"streams.{o.input_stream}", f"operations.{o.name}") for o in operations}
    view = BrokerView(bindings | own, {f"operations.{o.name}": 1 for o in operations})
    assert wanted_operations(operations, view) == set()


@given(OPERATIONS, BINDINGS, st.frozensets(STREAMS))
def test_more_consumers_never_make_less_wanted(
    operations: list[Operation], bindings: frozenset[Binding], consumed: frozenset[str]
) -> None:
    outside = {Binding(f"streams.{stream}", stream) for stream in consumed}
    some = wanted_operations(operations, BrokerView(bindings | outside, {}))
    more = wanted_operations(operations, BrokerView(bindings | outside, dict.fromkeys(consumed, 1)))
    assert some <= more
    assert {o.name for o in operations if o.output_stream in consumed} <= more
