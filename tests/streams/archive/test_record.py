"""Messages as records: nothing of a message is lost, and no type changes."""

from dataclasses import replace
from typing import Any

from hypothesis import given

from streams.archive import message_of, record_of, same
from streams.archive.record import made_id
from streams.broker.fields import Int64
from streams.message import PUBLISHED_US, Message
from tests.streams.archive.messages import EVERY_TYPE, messages


def _types(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _types(item) for name, item in value.items()}
    return [_types(item) for item in value] if isinstance(value, list) else type(value)


@given(messages())
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    assert message_of(record_of(message, arrived_us=1)) == message


def test_headers_of_every_amqp_type_keep_their_type() -> None:
    back = message_of(record_of(Message(b"", headers=EVERY_TYPE), arrived_us=0)).headers
    assert back == EVERY_TYPE
    # what needs 64 bits is sent with 64 whatever it is here
    assert _types(back) == {**_types(EVERY_TYPE), "large": int}


def test_text_headers_stay_readable_and_the_others_are_named() -> None:
    record = record_of(
        Message(b"", headers={"b": "plain", "a": {"n": 1}, "c": b"\xff"}), arrived_us=0
    )
    assert record.headers == {"b": "plain", "a": '{"n":1}', "c": '{"$bytes":"/w=="}'}
    assert record.json_headers == ("a", "c")


def test_a_second_delivery_gives_the_same_record() -> None:
    message = Message(b"x", headers={"a": "b"})
    again = replace(message, headers={"a": "b", "x-delivery-count": Int64(1)})
    first, second = record_of(message, arrived_us=1), record_of(again, arrived_us=2)
    assert same(first, second)
    assert first.message_id.startswith("made-")


def test_what_differs_in_anything_but_time_is_not_the_same() -> None:
    message = Message(b"x", message_id="1", content_type="a/b", headers={"n": "1"})
    one = record_of(message, arrived_us=0)
    for changed in (
        replace(message, body=b"y"),
        replace(message, message_id="2"),
        replace(message, content_type=None),
        replace(message, headers={"n": 1}),
        replace(message, headers={}),
    ):
        assert not same(one, record_of(changed, arrived_us=0))


def test_equal_messages_without_an_id_are_told_apart_by_their_place() -> None:
    tick = Message(b"tick")
    assert made_id(tick) == made_id(tick) != made_id(tick, position=7)
    assert made_id(tick, position=7) == made_id(tick, position=7) != made_id(tick, position=8)
    assert made_id(tick) != made_id(Message(b"tock"))


def test_the_best_known_time_of_publication_counts() -> None:
    stamped = Message(b"", timestamp=5, headers={PUBLISHED_US: Int64(1_700_000)})
    assert record_of(stamped, arrived_us=9).published_us == 1_700_000
    assert record_of(replace(stamped, headers={}), arrived_us=9).published_us == 5_000_000
    for nonsense in (True, -1, 2**60, "soon"):
        said = Message(b"", headers={PUBLISHED_US: nonsense})
        assert record_of(said, arrived_us=9).published_us == 9
    assert record_of(Message(b"", timestamp=2**64 - 1), arrived_us=9).published_us == 9


def test_what_is_not_utf8_where_text_belongs_stays_readable() -> None:
    foreign: Any = Message(b"", message_id=b"\xff1", content_type=b"\xfe", headers={b"\xfd": 1})  # type: ignore[arg-type, dict-item]
    record = record_of(foreign, arrived_us=0)
    assert (record.message_id, record.content_type) == (r"\xff1", r"\xfe")
    assert record.headers == {r"\xfd": "1"}
