"""The parts of the console that decide: what is shown of a message, numbers, tables, topology."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.console import numbers
from manager.console.archive import share_of
from manager.console.feed import Look, OperationLook, StreamLook
from manager.console.graph import MOST, elements, part_of
from manager.console.shown import TEXT_CHARACTERS, How, as_json, shown, shown_letter, visible
from manager.console.tables import PAGE_ROWS, Asked, rows
from manager.console.wiring import Ends, along
from manager.model import Archive, DeadLetter, Operation, OperationState, OperationStatus, Tally
from manager.replays.request import Position, ReplayRequest
from manager.replays.state import Progress, Replay, ReplayState
from streams.archive.keys import SegmentKey, time_of
from streams.definition import ProcessDefinition
from streams.message import Message

CAT = ProcessDefinition(name="cat", application="any", exec="cat")


@given(st.text())
def test_json_to_copy_hides_nothing_and_means_the_same(text: str) -> None:
    told = as_json({text: ["grüße", text]})
    assert visible(told) == told
    assert "grüße" in told
    assert json.loads(told) == {text: ["grüße", text]}


@given(st.text())
def test_nothing_in_visible_text_can_act(text: str) -> None:
    assert all(letter.isprintable() or letter in "\n\t" for letter in visible(text))


@given(st.binary(max_size=500), st.sampled_from(["auto", "text", "json", "hex"]))
def test_any_body_can_be_shown_in_any_way(body: bytes, how: How) -> None:
    seen = shown(Message(body), how)
    assert all(letter.isprintable() or letter in "\n\t" for letter in seen.text)


@pytest.mark.parametrize(
    ("body", "content_type", "kind"),
    [
        (b"text", None, "text"),
        (b'{"a": 1}', None, "json"),
        (b'{"a": 1', "application/json", "text"),
        (b"[" * 100_000, "application/json", "text"),
        (b"\xff", "text/plain", "hex"),
        (b"a\0b", "text/plain", "hex"),
        (b"<svg/>", "image/svg+xml", "text"),
        (b"not a picture", "image/png", "picture"),
        (b"x" * 2_000_000, "image/png", "text"),
        (b"", None, "text"),
    ],
)
def test_a_body_is_shown_as_what_it_is(body: bytes, content_type: str | None, kind: str) -> None:
    assert shown(Message(body, content_type=content_type)).kind == kind


def test_of_a_large_text_the_beginning_is_shown_and_said() -> None:
    seen = shown(Message("ü".encode() * 1_000_000))
    assert seen.kind == "text"
    assert seen.text == "ü" * TEXT_CHARACTERS
    assert seen.hidden_bytes == 2_000_000 - 2 * TEXT_CHARACTERS


def test_of_a_dead_letter_only_the_beginning_is_there() -> None:
    letter = DeadLetter(None, "image/png", "", None, 1, None, None, "", b"x" * 65536, 10**8)
    seen = shown_letter(letter)
    assert (seen.kind, seen.hidden_bytes) == ("text", 10**8 - TEXT_CHARACTERS)


def test_numbers_have_units_and_the_unknown_is_no_zero() -> None:
    assert [numbers.rate(r) for r in (None, 0.0, 0.05, 1.25, 12345.6)] == [
        numbers.UNKNOWN,
        "0/s",
        "< 0.1/s",
        "1.2/s",
        "12,346/s",
    ]
    assert [numbers.size(s) for s in (None, 0, 1023, 1536, 50_000_000)] == [
        numbers.UNKNOWN,
        "0 B",
        "1,023 B",
        "1.5 KiB",
        "48 MiB",
    ]
    assert [numbers.duration(s) for s in (None, 0.25, 2.5, 1234.5)] == [
        numbers.UNKNOWN,
        "250 ms",
        "2.5 s",
        "1,234 s",
    ]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    ages = [numbers.ago(now - timedelta(seconds=s), now) for s in (0, 59, 60, 7200, 200_000)]
    assert ages == ["now", "59 s ago", "1 min ago", "2 h ago", "2 d ago"]


def test_tables_are_searched_sorted_and_paged_with_the_unknown_last() -> None:
    things = [("b", 2.0), ("a", None), ("c", 1.0)]
    orders = {"rate": lambda thing: thing[1]}

    def order(asked: Asked) -> list[str]:
        return [t[0] for t in rows(things, asked, text=lambda t: t[0], orders=orders).items]

    assert order(Asked(order="rate")) == ["c", "b", "a"]
    assert order(Asked(order="-rate")) == ["b", "c", "a"]
    assert order(Asked(find="B", order="nonsense")) == ["b"]
    many = rows(range(60), Asked(page=3), text=str, orders={})
    assert (list(many.items), many.pages) == (list(range(2 * PAGE_ROWS, 60)), 3)
    assert Asked(find="a b", page=2).at(page=3) == "?find=a+b&page=3"


def _look(count: int, prefix: str = "") -> Look:
    """Return a chain of operations."""
    names = [f"{prefix}s{n}" for n in range(count + 1)]
    streams = {name: StreamLook(name, "ada", 0, 0.0) for name in names}
    made = [Operation(f"{prefix}o{n}", "ada", 1, CAT, names[n], names[n + 1]) for n in range(count)]
    status = OperationStatus(OperationState.RUNNING, backlog_messages=7, rate_in=2.0)
    return Look(streams, {o.name: OperationLook(o, status) for o in made})


def test_the_drawing_has_nodes_edges_rates_and_what_waits() -> None:
    look = _look(1)
    streams = {**look.streams, "s1": replace(look.streams["s1"], consumers=2)}
    found = {
        e["data"]["id"]: e["data"] for e in elements(part_of(replace(look, streams=streams), ""))
    }
    assert found["operation o0"]["label"] == "● o0\nrunning"
    assert found["stream s0 > operation o0"]["label"] == "2/s\n7 waiting"
    assert found["out s1"]["label"] == "2 consumers"
    assert found["operation o0"]["place"] == "/operations/o0/"
    assert not found["operation o0"]["dead"]


def test_dead_letters_show_whatever_the_state_is() -> None:
    look = _look(1)
    status = replace(look.operations["o0"].status, dead_letters=1)
    bitten = replace(look, operations={"o0": replace(look.operations["o0"], status=status)})
    found = {e["data"]["id"]: e["data"] for e in elements(part_of(bitten, ""))}["operation o0"]
    assert found["label"] == "● o0\nrunning\n✖ 1 dead letter"
    assert (found["state"], found["dead"]) == ("running", True)


def test_streams_without_an_operation_are_told_of_beside_those_that_are_consumed() -> None:
    look = _look(1)
    streams = {**look.streams, "alone": StreamLook("alone", "ada", 0)}
    streams["s1"] = replace(streams["s1"], consumers=1)
    look = replace(look, streams=streams)
    assert [stream.name for stream in part_of(look, "").apart] == ["s1", "alone"]
    assert [stream.name for stream in part_of(look, "alone").apart] == ["alone"]


@pytest.mark.parametrize(
    ("wires", "told"),
    [
        ({"a": "3>4", "b": "1>2", "c": "2>3"}, "bca"),
        # one pipeline after the other
        ({"a": "1>2", "b": "7>8", "c": "2>3", "d": "8>9"}, "acbd"),
        # a way that parts, and what follows on each side of it
        ({"a": "1>2", "b": "2>3", "c": "2>4", "d": "3>5", "e": "4>6"}, "abdce"),
        # ways that meet: first all that feeds
        ({"a": "2>3", "b": "1>2", "c": "0>2", "x": "8>9"}, "bcax"),
        ({"a": "1>2", "b": "2>4", "c": "4>5", "d": "2>3", "e": "3>4"}, "abdec"),
        # what takes, or makes, the same stream
        ({"a": "1>2", "b": "8>9", "c": "1>3", "d": "7>9"}, "acbd"),
        # circles, small and large
        ({"a": "1>1", "b": "3>2", "c": "2>3", "d": "1>2"}, "adbc"),
        ({}, ""),
    ],
)
def test_the_list_follows_the_flow(wires: dict[str, str], told: str) -> None:
    operations = [Ends(name, *wire.split(">")) for name, wire in wires.items()]
    assert "".join(along(operations)) == told


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20))
def test_an_operation_is_listed_once_and_after_those_that_feed_it(
    wires: list[tuple[int, int]],
) -> None:
    # without circles: from a smaller number to a larger one
    operations = [Ends(f"o{n}", str(min(wire)), str(max(wire) + 1)) for n, wire in enumerate(wires)]
    told = along(operations)
    assert sorted(told) == sorted(each.operation for each in operations)
    at = {name: number for number, name in enumerate(told)}
    for one in operations:
        for other in operations:
            if one.output_stream == other.input_stream:
                assert at[one.operation] < at[other.operation]


def test_of_too_much_the_neighbourhood_of_one_thing_is_drawn() -> None:
    look = _look(500)
    assert part_of(_look(5), "").whole
    part = part_of(look, "o250")
    assert len(part.streams) + len(part.operations) == MOST
    assert {"s250", "s251"} <= part.streams.keys()
    drawn = {e["data"]["id"]: e["data"] for e in elements(part)}
    edges = [data for data in drawn.values() if "source" in data]
    assert all({edge["source"], edge["target"]} <= drawn.keys() for edge in edges)
    assert sum(part.beyond.values()) == 2
    assert sum("(+1)" in data["label"] for data in drawn.values()) == 2
    assert part_of(look, "nothing like that").streams == {}


def test_of_too_much_each_pipeline_is_one_and_what_went_wrong_comes_first() -> None:
    looks = [_look(2, prefix=f"p{number:03}-") for number in range(150)]
    streams = {name: s for look in looks for name, s in look.streams.items()}
    operations = {name: o for look in looks for name, o in look.operations.items()}
    broken = operations["p077-o1"]
    failed = replace(broken.status, state=OperationState.FAILED, dead_letters=3)
    operations["p077-o1"] = replace(broken, status=failed)
    bitten = operations["p140-o0"]
    operations["p140-o0"] = replace(bitten, status=replace(bitten.status, dead_letters=1))
    streams["alone"] = StreamLook("alone", "ada", 0)
    part = part_of(Look(streams, operations), "")
    assert (len(part.pipelines), part.hidden_pipelines, part.lone) == (MOST, 150 - MOST, 1)
    assert [each.around for each in part.pipelines[:3]] == ["p077-s0", "p140-s0", "p000-s0"]
    assert part.pipelines[0].states == {OperationState.FAILED: 1, OperationState.RUNNING: 1}
    drawn = [e["data"] for e in elements(part)]
    assert len(drawn) == MOST
    assert drawn[0]["label"].splitlines() == [
        "p077-s0 …",
        "✖ 1 failed, 1 running",
        "14 waiting",
        "✖ 3 dead letters",
    ]
    assert drawn[0]["dead"]
    assert not drawn[2]["dead"]
    assert drawn[0]["place"] == "/?around=p077-s0"
    assert part_of(Look(streams, operations), "p077-s0").operations.keys() == {"p077-o0", "p077-o1"}


def test_how_far_a_replay_is_counts_messages_where_their_number_is_known() -> None:
    tally = Tally(1, 10_000, 0, 200, time_of(0), time_of(100))
    archive = Archive("s", "ada", tally=tally)
    segment = SegmentKey("s", 50, "abc")
    at = Progress(position=str(Position(segment, 40)), messages=40, repeats=10)

    def share(limit: int | None = None, since_us: int | None = None) -> float | None:
        asked = ReplayRequest("s", "s", since_us=since_us, limit=limit)
        made = Replay(asked, "ada", ReplayState.RUNNING, datetime.now(UTC), progress=at)
        return share_of(made, archive)

    assert share() == 50 / 200
    assert share(limit=80) == 40 / 80
    assert share(since_us=0) == 0.5
