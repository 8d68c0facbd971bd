"""Whatever people write into files and names: it is understood, or what is wrong is said."""

import json
import re
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams import names
from streams.definition import ProcessDefinition
from streams.errors import DefinitionError, ObjectReferenceError
from streams.reference import ObjectReference
from tools.pipeline_file import PipelineError, parse

_ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, "", "\0", "\r\n", "\x1b[2J", "a b", "../..", "-1", -1, 0, 2**70, 1e308, True, [], {}]
)
_NAMES = [*ProcessDefinition.model_fields, *("streams", "definitions", "operations", "archives")]
_VALUE = st.recursive(
    _ODD | st.text(max_size=5) | st.sampled_from(["x", "service", "any", "fifo"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(_NAMES) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)
_GOOD: dict[str, Any] = {"name": "n", "application": "a", "exec": "cat"}
_DEEP = "[" * 20_000


def _said(error: DefinitionError | PipelineError) -> None:
    assert error.problems
    assert all(problem.strip() and "\n" not in problem for problem in error.problems)


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(_NAMES), _VALUE, max_size=4))
def test_any_definition_is_one_or_each_problem_is_said(fields: dict[str, Any]) -> None:
    try:
        definition = ProcessDefinition.from_document(json.dumps({"definition": _GOOD | fields}))
    except DefinitionError as error:
        _said(error)
    else:
        again = json.dumps({"definition": definition.to_mapping()})
        assert ProcessDefinition.from_document(again) == definition


@settings(max_examples=150)
@given(_VALUE.map(yaml.safe_dump) | st.text(max_size=60))
@example(_DEEP)
@example("&a [*a]")
@example("a: &a [x, x]\nb: &b [*a, *a]\nstreams: [*b, *b]")
@example("streams: [2026-13-45]")
@example("!!python/object/apply:os.system [true]")
@example("? {a: 1}\n: 2")
def test_any_pipeline_is_one_or_each_problem_is_said(text: str) -> None:
    try:
        parse(text)
    except PipelineError as error:
        _said(error)


@pytest.mark.parametrize("body", [_DEEP, '{"definition": ' * 20_000, "\ud800", "NaN"])
def test_what_only_breaks_parsers_is_no_definition(body: str) -> None:
    with pytest.raises(DefinitionError):
        ProcessDefinition.from_document(body)
    with pytest.raises(ObjectReferenceError):
        ObjectReference.parse(body.encode(errors="surrogatepass"))


@settings(max_examples=300)
@given(st.text(max_size=8) | st.from_regex(r"[A-Za-z0-9._/\\\r\n-]{1,8}"))
@example("a\n")
@example("..")
@example("a/../b")
@example("\N{ARABIC-INDIC DIGIT ONE}")
def test_a_name_leads_out_of_no_folder_key_line_or_header(name: str) -> None:
    for kind in ("stream", "operation", "subscription", "node", "user"):
        problem = names.name_problem(kind, name)
        assert problem is None or problem.isprintable()
        assert problem or re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name, re.ASCII)
