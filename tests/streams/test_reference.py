"""Object references: plain JSON, read with every problem named."""

import json

import pytest

from streams.errors import ObjectReferenceError
from streams.message import OBJECT_REFERENCE
from streams.reference import ObjectReference

WHOLE = ObjectReference("b-1", "a/ü.dat", 5, "abc-2", "image/png")


def test_a_reference_is_plain_json_with_the_fields_of_the_contract() -> None:
    message = WHOLE.message()
    assert message.content_type == OBJECT_REFERENCE
    assert json.loads(message.body) == {
        "bucket": "b-1",
        "key": "a/ü.dat",
        "size": 5,
        "etag": "abc-2",
        "content_type": "image/png",
    }
    assert ObjectReference.parse(message.body) == WHOLE
    assert str(WHOLE) == "s3://b-1/a/ü.dat"


def test_foreign_references_may_say_less_or_more() -> None:
    assert ObjectReference.parse(b'{"bucket": "b", "key": "k", "etag": "\\"e\\"", "x": 1}') == (
        ObjectReference("b", "k", etag="e")
    )


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"\xff", "isn't JSON"),
        (b"[1]", "isn't a JSON object"),
        (b"[" * 200_000, "isn't JSON"),
        (b'{"bucket": "b", "key": "\\ud800"}', "key: must be text"),
        (b'{"bucket": "b", "key": "k", "content_type": "a\\nb"}', "content_type: must be"),
        (b'{"bucket": "b", "key": "k", "content_type": "%s"}' % (b"a" * 256), "content_type: must"),
        (b'{"key": 7, "size": -1}', "bucket: is missing; key: must be text; size: must be"),
        (b'{"bucket": "b", "key": "k", "size": true, "etag": 1}', "etag: must be text; size"),
    ],
)
def test_what_cannot_be_understood_names_every_problem(body: bytes, problem: str) -> None:
    with pytest.raises(ObjectReferenceError, match=problem):
        ObjectReference.parse(body)
