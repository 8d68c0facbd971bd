"""Control messages between manager and agents."""

import json

import pytest

from streams import control
from streams.control import Assigned, Assignment, Heartbeat, LogLines
from streams.definition import ProcessDefinition
from streams.errors import ControlError

_DEFINITION = ProcessDefinition(name="n", application="a", exec="cat", argv=("-u",))
SAID: list[Assignment | Heartbeat | LogLines] = [
    Assignment(
        term=3,
        node="n1",
        incarnation="1f",
        operations=(
            Assigned(
                operation="o",
                revision=1,
                definition=_DEFINITION,
                input_stream="a",
                output_stream="b",
            ),
        ),
    ),
    Heartbeat(node="n1", incarnation="1f", slots=2, offers=("any",)),
    LogLines(node="n1", operation="o", at=1.5, lines=("x",)),
]


@pytest.mark.parametrize("said", SAID, ids=lambda said: type(said).__name__)
def test_what_is_said_is_understood_with_fields_of_a_newer_side_ignored(
    said: Assignment | Heartbeat | LogLines,
) -> None:
    raw = json.loads(control.encode(said))
    raw["of_tomorrow"] = 1
    assert control.decode(type(said), json.dumps(raw).encode()) == said


def test_an_assigned_definition_may_have_fields_of_a_newer_manager() -> None:
    raw = json.loads(control.encode(SAID[0]))
    raw["operations"][0]["definition"]["of_tomorrow"] = 1
    raw["operations"][0]["definition"]["limits"]["gpus"] = 2
    assert control.decode(Assignment, json.dumps(raw).encode()) == SAID[0]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"{", "isn't JSON"),
        (b"[]", "isn't a JSON object"),
        (b'{"v": 2}', "version 2"),
        (b'{"v": 1, "slots": -1}', "a heartbeat with 4 problems"),
    ],
)
def test_what_cannot_be_understood_is_said(raw: bytes, why: str) -> None:
    with pytest.raises(ControlError, match=why):
        control.decode(Heartbeat, raw)
