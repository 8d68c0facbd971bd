"""Messages of every kind, for tests of what keeps them."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from streams.broker.fields import Deep, FarTime, Int64
from streams.message import Message

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_SHORT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
#: a value of each type that pika gives to a header of a foreign client
EVERY_TYPE: dict[str, Any] = {
    "text": "ü 1",
    "json-like text": '{"$bytes": "x"}',
    "bytes": b"\x00\xff",
    "true": True,
    "int": -5,
    "long": Int64(5),
    "large": Int64(2**62),
    "double": 0.1,
    "infinite": float("-inf"),
    "decimal": Decimal("-1.50"),
    "time": datetime(2026, 11, 25, 10, 15, tzinfo=UTC),
    "far time": FarTime(1_700_000_000_000),
    "deep": Deep(b"A\x00\x00\x00\x01V"),
    "void": None,
    "array": [1, "two", b"\xfe", [Decimal(3)], {"four": None}],
    "table": {"a": {"$bytes": b"b"}, "$c": [], "d": Int64(1)},
    "empty": {},
}
#: RabbitMQ closes the connection that sends an infinite number; what is deep is so within others
ON_THE_WIRE = {name: v for name, v in EVERY_TYPE.items() if name not in {"infinite", "deep"}}

_VALUES = st.recursive(
    st.one_of(
        _TEXT,
        st.binary(max_size=10),
        st.booleans(),
        st.none(),
        st.integers(-(2**31), 2**31 - 1),
        st.integers(-(2**63), 2**63 - 1).map(Int64),
        st.floats(allow_nan=False),
        st.decimals(-20_000, 20_000, places=2),
        st.integers(0, 4_000_000_000).map(lambda s: datetime.fromtimestamp(s, UTC)),
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_SHORT | st.sampled_from(["$bytes", "$table"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def messages() -> st.SearchStrategy[Message]:
    """Any message that has an id."""
    return st.builds(
        Message,
        body=st.binary(max_size=200),
        message_id=_SHORT.filter(bool),
        content_type=st.none() | _SHORT,
        correlation_id=st.none() | _SHORT,
        timestamp=st.none() | st.integers(0, 2**63 - 1),
        headers=st.dictionaries(_SHORT, _VALUES, max_size=4),
    )
