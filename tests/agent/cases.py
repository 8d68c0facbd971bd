"""What a case of the matrix is, how it runs, and what is compared: data in, evidence out."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.protocol import ExitStatus
from streams.control import Counters, OperatorState
from streams.definition import ProcessDefinition
from streams.message import OWN_HEADER, Message
from tests.agent.operating import NODE, Operator, Pipeline, command_of, operating, text
from tests.eventually import eventually

MAX_STDERR_BYTES = 4096


@dataclass(frozen=True)
class Dead:
    """A dead letter as a case expects it; None is not looked at, reasons and stderr in part."""

    body: bytes
    reason: str = ""
    attempts: int | None = None
    exit_status: str | None = None
    stderr: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What was seen of one operator, from outside."""

    sent: Sequence[Message]
    outputs: Sequence[Message]
    dead: Sequence[Message]
    left: int
    exit_status: int
    states: Sequence[OperatorState]
    failures: Sequence[str]
    counters: Counters
    logs: Sequence[str]
    survivors: Sequence[str]


@dataclass(frozen=True, eq=False)
class Case:
    """One program, what it is fed, and what must come of it."""

    says: str
    definition: ProcessDefinition
    inputs: Sequence[bytes | str | Message] = ()
    #: their bodies; a number: so many, which only `check` looks at
    outputs: Sequence[bytes] | int = ()
    #: outputs that come only when the program's stdin ends
    late: Sequence[bytes] = ()
    #: content types of the outputs; None: text/plain each
    types: Sequence[str | None] | None = None
    dead: Sequence[Dead] = ()
    #: a piece of the reason with which the operation is reported as `failed`
    failed: str | None = None
    left: int = 0
    in_order: bool = True
    #: whether outputs may come again: within the promise (a crash of a service with `replies: any`)
    repeats: bool = False
    check: Callable[[Outcome], None] = field(default=lambda _outcome: None)
    drain_s: float = 5.0
    within_s: float = 30.0

    def run(self, urls: Sequence[str], name: str, folder: Path) -> Outcome:
        """Run the case with an operator of its own and return what was seen."""
        sent = [m if isinstance(m, Message) else text(m) for m in self.inputs]
        with Pipeline(urls, name) as pipeline:
            pipeline.publish(*sent)
            with operating(urls, pipeline, self.definition, folder) as operator:
                try:
                    return self._watch(pipeline, operator, sent)
                except BaseException as error:
                    error.add_note(self._scene(pipeline, operator))
                    raise

    def _watch(self, pipeline: Pipeline, operator: Operator, sent: list[Message]) -> Outcome:
        eventually(
            lambda: self._enough(pipeline, operator), within_s=self.within_s, what="it has done it"
        )
        exit_status = operator.drain(self.drain_s)
        survivors = _survivors(operator)
        outputs, dead = pipeline.outputs(), pipeline.dead()
        eventually(
            lambda: pipeline.waiting() == self.left, within_s=5, what=f"{self.left} left in queue"
        )
        return Outcome(
            sent=sent,
            outputs=outputs,
            dead=dead,
            left=pipeline.waiting(),
            exit_status=exit_status,
            states=[report.state for report in operator.reports],
            failures=operator.failures(),
            counters=operator.counters,
            logs=operator.logs,
            survivors=survivors,
        )

    def _enough(self, pipeline: Pipeline, operator: Operator) -> bool:
        if operator.process.poll() is not None:
            raise AssertionError(f"the operator ended by itself: {operator.process.returncode}")
        if self.failed is not None:
            return any(self.failed in reason for reason in operator.failures())
        bodies = pipeline.bodies()
        expected = () if isinstance(self.outputs, int) else self.outputs
        number = self.outputs if isinstance(self.outputs, int) else len(self.outputs)
        if len(bodies) < number or not set(expected) <= set(bodies):
            return False
        if len(pipeline.dead()) < len(self.dead):
            return False
        if number or self.dead:
            return True
        return operator.counters.received >= len(self.inputs) - self.left

    def _scene(self, pipeline: Pipeline, operator: Operator) -> str:
        lines = [
            f"outputs: {[_short(m.body) for m in pipeline.outputs()]}",
            *(f"dead: {_short(m.body)} {_ours(m)}" for m in pipeline.dead()),
            f"waiting: {pipeline.waiting()}",
            f"programs: {[command_of(pid) for pid in operator.programs()]}",
            *(f"report: {report}" for report in operator.reports[-5:]),
            f"odd lines: {operator.odd_lines[:5]}",
            f"operator's log: {operator.stderr()[-2000:]}",
        ]
        return "\n".join(lines)

    def judge(self, outcome: Outcome) -> None:
        """Compare what was seen with what must happen."""
        if isinstance(self.outputs, int):
            assert len(outcome.outputs) == self.outputs
        else:
            self._judge_outputs(outcome, [*self.outputs, *self.late])
        self._judge_dead(outcome)
        assert outcome.exit_status == ExitStatus.DRAINED
        assert not outcome.survivors
        assert outcome.left == self.left
        if self.failed is None:
            assert not outcome.failures
        self.check(outcome)

    def _judge_outputs(self, outcome: Outcome, expected: Sequence[bytes]) -> None:
        bodies = [message.body for message in outcome.outputs]
        if self.repeats:
            bodies = list(dict.fromkeys(bodies))
        assert Counter(map(_short, bodies)) == Counter(map(_short, expected))
        assert Counter(bodies) == Counter(expected)
        assert not self.in_order or list(map(_short, bodies)) == list(map(_short, expected))
        types = self.types if self.types is not None else ["text/plain"] * len(expected)
        if self.in_order and not self.repeats:
            assert [message.content_type for message in outcome.outputs] == list(types)

    def _judge_dead(self, outcome: Outcome) -> None:
        letters = {message.body: message for message in outcome.dead}
        assert len(outcome.dead) == len(self.dead)
        assert set(letters) == {expected.body for expected in self.dead}
        by_body = {message.body: message for message in outcome.sent}
        for expected in self.dead:
            message = letters[expected.body]
            ours = _ours(message)
            assert expected.reason.lower() in str(ours["reason"]).lower()
            assert expected.attempts in {None, ours["attempts"]}
            assert expected.exit_status in {None, str(ours.get("exit-status"))}
            assert (expected.stderr or "") in str(ours.get("stderr", ""))
            assert len(str(ours.get("stderr", "")).encode()) <= MAX_STDERR_BYTES
            assert ours["node"] == NODE
            assert ours["failed-at"]
            assert message.content_type == by_body[message.body].content_type
            assert message.message_id


def _survivors(operator: Operator) -> list[str]:
    """Return what is left of the programs a moment after their operator's end."""
    try:
        eventually(lambda: not operator.programs(), within_s=3)
    except BaseException:  # noqa: BLE001 - pytest.fail raises one of those
        return [command_of(pid) for pid in operator.programs()]
    return []


def _ours(message: Message) -> dict[str, object]:
    return {
        name.removeprefix(OWN_HEADER): value
        for name, value in message.headers.items()
        if name.startswith(OWN_HEADER)
    }


def _short(body: bytes) -> str:
    return repr(body if len(body) < 100 else body[:40] + b"..." + body[-40:])
