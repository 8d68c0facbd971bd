"""Pipelines as files: what may stand in one, and what is decided."""

from typing import Any

import pytest

from streams.definition import ProcessDefinition
from tools.pipeline import Act, Change, Present, Registered, export, plan
from tools.pipeline_file import PipelineError, Wanted, parse, to_yaml

FILE = """\
streams: [raw, extra]
definitions:
  - {name: upper, application: text, exec: "tr [a-z] [A-Z]"}
operations:
  - {name: shout, definition: upper, input_stream: raw, output_stream: loud, linger_s: 5}
"""
UPPER = {"name": "upper", "application": "text", "exec": "tr [a-z] [A-Z]"}


def _registered(number: int, owner: str = "ada", **fields: object) -> Registered:
    return Registered(number, owner, ProcessDefinition.from_mapping({**UPPER, **fields}))


def _operation(**fields: object) -> dict[str, Any]:
    return {
        "name": "shout",
        "owner": "ada",
        "process_definition_id": 1,
        "input_stream": "raw",
        "output_stream": "loud",
        "demand": "consumers",
        "instances": {"min": 1, "max": 1},
        "linger_s": 5.0,
        "drain_s": 30.0,
        "backlog": {"max_messages": None, "max_bytes": None, "max_age_s": None},
        **fields,
    }


def _present(
    *definitions: Registered, operations: dict[str, Any] | None = None, streams: str = ""
) -> Present:
    return Present(
        "ada", {name: {"owner": "ada"} for name in streams.split()}, definitions, operations or {}
    )


ALL_THERE = _present(
    _registered(1), operations={"shout": _operation()}, streams="raw loud extra other"
)


def _acts(changes: list[Change]) -> list[str]:
    return [f"{change.act.value} {change.kind} {change.name}" for change in changes]


def test_everything_is_made_in_the_order_in_which_it_is_needed() -> None:
    assert _acts(plan(parse(FILE), _present())) == [
        "+ stream raw",
        "+ stream extra",
        "+ stream loud",
        "+ definition upper",
        "+ operation shout",
    ]


def test_what_is_there_already_stays() -> None:
    assert {change.act for change in plan(parse(FILE), ALL_THERE)} == {Act.KEEP}


def test_an_empty_file_asks_for_nothing_and_removes_nothing() -> None:
    assert plan(parse("streams: []"), ALL_THERE) == []


OPTION_CASES = [
    ("demand: always", {"demand": "always"}, {"demand": ("consumers", "always")}),
    ("linger_s: 7", {"linger_s": 7.0}, {"linger_s": (5.0, 7.0)}),
    ("linger_s: 5", {}, {}),
    (
        "instances: {max: 3}",
        {"instances": {"min": 1, "max": 3}},
        {"instances.max": (1, 3)},
    ),
    ("backlog: null", {}, {}),
    ("backlog: {}", {}, {}),
    (
        "backlog: {max_messages: 9}",
        {"backlog": {"max_messages": 9, "max_bytes": None, "max_age_s": None}},
        {"backlog.max_messages": (None, 9)},
    ),
]


@pytest.mark.parametrize(("line", "body", "fields"), OPTION_CASES)
def test_only_options_that_the_file_names_and_that_differ_change(
    line: str, body: dict[str, Any], fields: dict[str, Any]
) -> None:
    text = (
        "operations: [{name: shout, definition: upper, input_stream: raw, output_stream: loud,"
        f" {line}}}]"
    )
    change = plan(parse(text), ALL_THERE)[-1]
    assert (change.act is Act.CHANGE) == bool(body)
    assert dict(change.body) == body
    assert dict(change.fields) == fields


def test_a_bound_that_the_file_takes_away_is_taken_away() -> None:
    bounded = _operation(backlog={"max_messages": 9, "max_bytes": None, "max_age_s": None})
    present = _present(_registered(1), operations={"shout": bounded}, streams="raw loud")
    text = (
        "operations: [{name: shout, definition: upper, input_stream: raw, output_stream: loud,"
        " backlog: null}]"
    )
    assert plan(parse(text), present)[-1].body == {"backlog": None}


def test_a_definition_that_changes_names_the_operations_that_start_anew() -> None:
    present = _present(_registered(1, timeout=5), operations={"shout": _operation()})
    change = plan(parse(FILE), present)[3]
    assert (change.act, change.ids, change.restarts) == (Act.CHANGE, (1,), ("shout",))
    assert change.fields == {"timeout": (5.0, 60)}


def test_values_of_the_environment_are_not_shown() -> None:
    old = _registered(1, environment={"TOKEN": "secret1", "GONE": "secret2", "SAME": "x"})
    new = {**UPPER, "environment": {"TOKEN": "secret3", "NEW": "secret4", "SAME": "x"}}
    change = plan(Wanted.model_validate({"definitions": [new]}), _present(old))[0]
    assert change.fields == {
        "environment.GONE": ("(set)", None),
        "environment.NEW": (None, "(set)"),
        "environment.TOKEN": ("(set)", "(set anew)"),
    }


def test_another_users_definition_of_that_name_does_not_count() -> None:
    present = _present(_registered(1, owner="bob"))
    assert plan(parse(FILE), present)[3].act is Act.CREATE


def test_of_several_definitions_of_a_name_the_one_in_use_counts() -> None:
    present = _present(
        _registered(1), _registered(2, timeout=9), operations={"shout": _operation()}
    )
    assert plan(parse(FILE), present)[3].act is Act.KEEP
    assert plan(parse(FILE), present)[4].act is Act.KEEP


def test_of_several_unused_definitions_of_a_name_the_newest_counts() -> None:
    present = _present(_registered(1, timeout=9), _registered(2))
    definition, operation = plan(parse(FILE), present)[3:]
    assert definition.act is Act.KEEP
    assert operation.definition_id == 2


def test_an_operation_gets_another_definition() -> None:
    present = _present(
        _registered(1), _registered(2, name="lower"), operations={"shout": _operation()}
    )
    text = "operations: [{name: shout, definition: lower, input_stream: raw, output_stream: loud}]"
    change = plan(parse(text), present)[-1]
    assert change.fields == {"definition": ("upper (id 1)", "lower")}
    assert (change.definition_id, change.restarts) == (2, ("shout",))


REFUSED = [
    ("streams: [a b]", ["streams.#1: stream name 'a b': use A-Z"]),
    ("streams: [a, a]", ["streams.'a': stands twice"]),
    ("streams: a", ["streams: input should be a valid list"]),
    ("stream: [a]", ["stream: unknown field"]),
    ("", ["must have 'streams'"]),
    ("- a", ["must have 'streams'"]),
    ("streams: [", ["line 1, column 1"]),
    ("streams: []\nstreams: [a]", ["line 2, column 1: 'streams' stands twice"]),
    (
        "definitions: [{name: upper, exec: cat, retry: 3, timeout: 0}]",
        [
            "definitions.'upper'.application: is missing",
            "definitions.'upper'.timeout: input should be greater than 0",
            "definitions.'upper'.retry: unknown field",
        ],
    ),
    (
        "operations: [{name: o, definition: d, input_stream: a, output_stream: a}, {name: .x}]",
        [
            "operations.'o': output_stream: must differ from its input stream ('a')",
            "operations.'.x'.name: operation name '.x'",
            "operations.'.x'.definition: is missing",
        ],
    ),
    (
        "operations: [{name: o, definition: d, input_stream: a, instances: {min: 3, max: 2}}]",
        ["operations.'o'.instances: max must be at least min (3)"],
    ),
]


@pytest.mark.parametrize(("text", "problems"), REFUSED)
def test_a_file_is_refused_with_every_problem_and_its_place(text: str, problems: list[str]) -> None:
    with pytest.raises(PipelineError) as caught:
        parse(text)
    found = "\n".join(caught.value.problems)
    assert all(problem in found for problem in problems), found


IMPOSSIBLE = [
    (
        "operations: [{name: o, definition: nope, input_stream: a, output_stream: b}]",
        _present(),
        "'nope' is neither in the file nor among your definitions",
    ),
    (
        "operations: [{name: shout, definition: upper, input_stream: other, output_stream: loud}]",
        ALL_THERE,
        "input_stream: is 'raw' and can't become 'other'",
    ),
    (
        FILE,
        _present(
            _registered(1),
            _registered(2, timeout=9),
            operations={"shout": _operation(), "b": _operation(process_definition_id=2)},
        ),
        "definition 'upper': 1, 2 have this name and differ",
    ),
]


@pytest.mark.parametrize(("text", "present", "problem"), IMPOSSIBLE)
def test_what_can_not_be_done_is_said_before_anything_is(
    text: str, present: Present, problem: str
) -> None:
    with pytest.raises(PipelineError, match=problem.replace("(", r"\(")):
        plan(parse(text), present)


def test_what_is_exported_is_what_is_there() -> None:
    present = _present(
        _registered(1, exec="tr 'a' \"b\"\n", environment={"A": "\u2028 é: #"}),
        _registered(2, name="spare", process_type="service", limits={"files": 9}),
        _registered(3, owner="bob", name="bob's"),
        operations={"shout": _operation(), "bob's": _operation(owner="bob")},
        streams="raw loud extra",
    )
    wanted = parse(to_yaml(export(present)))
    assert [d.name for d in wanted.definitions] == ["upper", "spare"]
    assert {change.act for change in plan(wanted, present)} == {Act.KEEP}


def test_an_operation_on_somebody_elses_definition_can_not_be_exported() -> None:
    present = _present(operations={"shout": _operation()})
    with pytest.raises(PipelineError, match="uses definition 1, not one of 'ada'"):
        export(present)
