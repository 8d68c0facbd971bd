"""Process definitions: every problem at once, by field."""

import json

import pytest

from streams.definition import Order, ProcessDefinition, ProcessType, Replies
from streams.errors import DefinitionError
from streams.framing import Framing

QUICKSTART = """
{
"definition": {
    "exec": "/opt/my-operation/my-operation.py",
    "application": "my-operation",
    "name": "My Operation"
}
}
"""
LEAST = {"name": "n", "application": "a", "exec": "cat"}


def test_the_quickstarts_definition_is_legal_and_gets_the_contracts_defaults() -> None:
    definition = ProcessDefinition.from_document(QUICKSTART)
    assert definition.exec == "/opt/my-operation/my-operation.py"
    assert definition.process_type is ProcessType.SINGLE
    assert definition.argv is None
    assert definition.timeout == 60
    assert definition.retries == 3
    assert definition.order is Order.FIFO
    assert definition.framing is Framing.LINES
    assert definition.replies is Replies.ANY
    assert definition.settle_s == 2
    assert definition.max_output_bytes == 1024**3


def test_a_definition_survives_being_stored() -> None:
    full = {
        **LEAST,
        "process_type": "service",
        "argv": ["-u", "a b"],
        "cwd": "/tmp",
        "environment": {"A_1": "x"},
        "concurrency": 2,
        "order": "none",
        "framing": "netstring",
        "replies": "one",
        "timeout": None,
        "retries": 0,
        "output_content_type": "application/json",
        "limits": {"cpu_s": 1, "memory_bytes": 10**9, "files": 64, "file_bytes": 0},
        "sandbox": "strict",
        "settle_s": 0.5,
        "description": "d",
        "max_output_bytes": 10,
    }
    definition = ProcessDefinition.from_mapping(full)
    assert ProcessDefinition.from_mapping(definition.to_mapping()) == definition
    assert ProcessDefinition.model_validate_json(json.dumps(full)) == definition


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(DefinitionError) as caught:
        ProcessDefinition.from_mapping(
            {
                "application": "a",
                "exec": "",
                "timout": 3,
                "timeout": 0,
                "process_type": "batch",
                "retries": "3",
                "cwd": "relative",
                "environment": {"1A": "x"},
                "limits": {"memory": 1},
            }
        )
    fields = sorted(problem.partition(":")[0] for problem in caught.value.problems)
    assert fields == [
        "definition.cwd",
        "definition.environment.1A.[key]",
        "definition.exec",
        "definition.limits.memory",
        "definition.name",
        "definition.process_type",
        "definition.retries",
        "definition.timeout",
        "definition.timout",
    ]
    assert "definition.timout: unknown field" in caught.value.problems
    assert "definition.name: is missing" in caught.value.problems


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ("{}", "must be an object"),
        ('{"definition": 3}', "definition: must be an object"),
        ('{"definition": {}, "other": 1}', "other: unknown field"),
        (b"\xff\xfe", "not JSON"),
    ],
)
def test_what_is_no_document_is_said(text: str, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        ProcessDefinition.from_document(text)


@pytest.mark.parametrize("field", ["exec", "cwd"])
def test_nul_characters_are_refused(field: str) -> None:
    with pytest.raises(DefinitionError, match="NUL"):
        ProcessDefinition.from_mapping({**LEAST, field: "/a\0b"})
