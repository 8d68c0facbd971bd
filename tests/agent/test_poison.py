"""What kills its program, or its operator, is given up; nobody beside it ever is."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.protocol import ExitStatus
from streams.settings import Settings
from tests.agent.operating import Operator, Pipeline, defined, operating
from tests.eventually import eventually

#: The word before the dash is what a message does.
_EXEC = (
    "while read -r line; do case $line in program*) kill -9 $$;; operator*) kill -9 $PPID;; esac;"
    ' echo "$line"; done'
)
_KINDS: dict[str, dict[str, Any]] = {
    "one": {"exec_": _EXEC, "process_type": "service", "replies": "one"},
    "any": {"exec_": _EXEC, "process_type": "service", "settle_s": 0.2},
    "single": {"exec_": _EXEC},
}
#: More than after how many deliveries a message is taken for a culprit.
_FEW, _FIFTY = 8, 50
_A_ROUND = 6
_WITHIN_S = 150

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize(
    ("kind", "restarts", "culprits"),
    [
        pytest.param("one", _FEW, ["program-1"], id="one"),
        *(
            pytest.param(
                kind, _FIFTY, ["program-1", "operator-2"], id=f"{kind}, 50", marks=pytest.mark.long
            )
            for kind in _KINDS
        ),
    ],
)
def test_poison_is_given_up_and_no_neighbour_is_through_clean_restarts(
    settings: Settings, tmp_path: Path, kind: str, restarts: int, culprits: list[str]
) -> None:
    urls = settings.need_amqp()
    with Pipeline(urls, "op") as pipeline:
        neighbours, clean = 0, 0
        definition = defined(retries=1, **_KINDS[kind])
        # poison among others, before and behind
        pipeline.publish("good-a", *culprits, "good-b")
        while clean < restarts:
            pipeline.publish(*(f"good-{neighbours + n}" for n in range(_A_ROUND)))
            neighbours += _A_ROUND
            with operating(urls, pipeline, definition, tmp_path) as operator:
                clean += _drained_in_time(operator, pipeline)
        with operating(urls, pipeline, definition, tmp_path / "last") as operator:
            _until_empty(operator, pipeline, culprits)
        wanted = {b"good-%d" % n for n in range(neighbours)} | {b"good-a", b"good-b"}
        assert {message.body for message in pipeline.outputs()} == wanted
        # one that was given up an instant before its operator was killed is given up again
        assert _dead(pipeline) == set(culprits)


def _dead(pipeline: Pipeline) -> set[str]:
    return {letter.body.decode() for letter in pipeline.dead()}


def _drained_in_time(operator: Operator, pipeline: Pipeline) -> bool:
    """Let it do something, then have it drain; say whether it ended in good order."""
    made = pipeline.made()
    eventually(
        lambda: pipeline.made() > made or operator.process.poll() is not None,
        within_s=_WITHIN_S,
        what="it makes something, or is killed",
    )
    if operator.process.poll() is not None:
        return False
    try:
        return operator.drain(20) == ExitStatus.DRAINED
    except (OSError, subprocess.TimeoutExpired):  # killed before it heard
        return False


def _until_empty(operator: Operator, pipeline: Pipeline, culprits: Sequence[str]) -> None:
    eventually(
        lambda: pipeline.waiting() == 0 and _dead(pipeline) == set(culprits),
        within_s=_WITHIN_S,
        what="nothing waits, and the culprits are dead",
    )
    assert operator.drain(20) == ExitStatus.DRAINED
