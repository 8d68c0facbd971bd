"""A definition as fields of a form and back."""

from typing import Any

import pytest

from manager.console.definition_form import (
    FIELDS,
    definition_of,
    document_of,
    filled_with,
    given,
    unusual,
)
from manager.errors import InvalidError
from streams.definition import ProcessDefinition

NEEDED: dict[str, Any] = {"name": "Upper", "application": "upper", "exec": "tr [a-z] [A-Z]"}


def test_each_field_of_the_model_is_in_the_form_with_help() -> None:
    names = {field.name.partition(".")[0] for field in FIELDS}
    assert names == set(ProcessDefinition.model_fields)
    assert [field.name for field in FIELDS if not field.hint] == []


def test_labels_are_written_alike_and_sizes_are_in_words() -> None:
    assert [field.label for field in FIELDS if not field.label[0].isupper()] == []
    hints = {field.name: field.hint for field in FIELDS}
    assert hints["max_output_bytes"].endswith("empty: 1073741824 (1.0 GiB)")
    definition = ProcessDefinition(**NEEDED, max_output_bytes=64 * 1024, retries=100)
    assert [text for _, text in unusual(definition)] == ["100", "65536 (64 KiB)"]


def test_what_everybody_fills_in_is_enough() -> None:
    assert definition_of({**given(), **NEEDED}) == ProcessDefinition(**NEEDED)
    assert definition_of(NEEDED) == ProcessDefinition(**NEEDED)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"argv": ("-x", "two words", "grüße")},
        {"argv": ()},
        {"argv": ("",)},
        {"argv": ("[", "")},
        {"argv": ('["a"]',)},
        {"argv": ("two\nlines", "two\r\nmore")},
        {"environment": {"A": "b", "C": "d=e"}},
        {"environment": {"A": " b "}},
        {"environment": {"A": "two\nlines"}},
        {"timeout": None, "settle_s": 0.25, "max_output_bytes": 10**12},
        {"limits": {"cpu_s": 3}, "process_type": "service", "replies": "one", "framing": "nul"},
        {"cwd": "/tmp", "concurrency": 4, "order": "none", "output_content_type": "a/b"},
    ],
)
def test_a_definition_comes_back_as_it_was(fields: dict[str, Any]) -> None:
    definition = ProcessDefinition.from_mapping({**NEEDED, **fields})
    form = filled_with(definition)
    as_sent = {name: text.replace("\n", "\r\n") for name, text in form.items()}
    assert definition_of(as_sent) == definition
    assert {field.name.partition(".")[0] for field, _ in unusual(definition)} == (
        set(fields) - {"process_type"}
    )


def test_each_problem_is_its_fields_own() -> None:
    form = {**given(), "timeout": "soon", "limits.cpu_s": "0", "retries": "", "argv": "["}
    with pytest.raises(InvalidError) as refused:
        definition_of(form)
    assert [problem.partition(": ")[0] for problem in refused.value.problems] == [
        "name",
        "application",
        "exec",
        "timeout",
        "limits.cpu_s",
    ]
    assert "retries" not in document_of(form)
    assert document_of(form)["argv"] == ["["]
