"""Run a definition's program on the desk or a node, as an operator would, without a broker."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from agent.operator.answers import SURPLUS
from agent.operator.child import Child, Exit
from agent.operator.command import command, environment, folder_problem, message_environment
from agent.operator.launcher import Launcher
from agent.operator.payload import from_stdout, to_stdin
from agent.operator.reaper import Reaper
from agent.operator.sandbox import sandbox_of
from agent.operator.spawn import CannotRunError
from agent.operator.tail import LogLines
from agent.operator.worker import Worker
from streams.broker import EventLoop
from streams.definition import ProcessDefinition, ProcessType, Replies
from streams.errors import FramingError
from streams.framing import Decoder, encode
from streams.message import MAX_INLINE_BYTES, MessageIds

TEXT = "text/plain"
_POLL_S = 0.005
#: How long a service may take to end after the end of its input.
_LEAVE_S = 5.0
#: Limits that take cgroups, which only an agent makes.
_ON_THE_DESK = {"processes": None, "cpus": None}


@dataclass(frozen=True, slots=True)
class Host:
    """The node on which a program is tried, in a process of our own; bounds of time and output."""

    scratch: str
    longest_s: float
    most_bytes: int
    run_as: str | None = None
    #: as `Launcher` has them
    cgroups: Mapping[str, str] = field(default_factory=dict)
    #: what programs carry in their environment
    mark: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """One process: how it ended, and the end of what it wrote to stderr."""

    seconds: float = 0.0
    exit: Exit | None = None
    stderr: str = ""
    #: why it was ended by us, or couldn't be started
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether it ended well."""
        return not self.problem and self.exit is not None and self.exit.code == 0


@dataclass(slots=True)
class Trial:
    """What came of it: one run for each input (`single`), or one for all (`service`)."""

    inputs: int = 0
    outputs: list[bytes] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    seconds: float = 0.0
    #: a service wrote nothing before the end of its input: its stdout is block-buffered
    held_back: bool = False
    on_output: Callable[[bytes], None] | None = field(default=None, repr=False)
    #: what a service wrote, with empty answers, which are no messages
    answers: int = 0

    def take(self, bodies: list[bytes]) -> None:
        """Count what the program made; what isn't empty is a message."""
        self.answers += len(bodies)
        for body in filter(None, bodies):
            self.outputs.append(body)
            if self.on_output:
                self.on_output(body)

    @property
    def ok(self) -> bool:
        """Whether every process ended well."""
        return all(run.ok for run in self.runs)


def run(
    definition: ProcessDefinition,
    inputs: Iterable[bytes | None],
    *,
    content_type: str = TEXT,
    on_output: Callable[[bytes], None] | None = None,
    host: Host | None = None,
) -> Trial:
    """Run the program over these messages; call it from the main thread.

    A None among them says that there is nothing just now, after a moment's wait: so a service
    answers while its input is being typed. `on_output` gets each message as it comes.

    Its folder is a temporary one or the host's, unless the definition names another. On a host,
    whatever it began is ended with it.
    """
    trial = Trial(on_output=on_output)
    began = monotonic()
    with (
        _scratch(host) as scratch,
        _desk(definition, scratch, host) as desk,
    ):
        if desk.problem:
            trial.runs.append(Run(problem=desk.problem))
        elif definition.process_type is ProcessType.SINGLE:
            _Singles(desk, definition, trial, content_type).run(inputs)
        else:
            _Service(desk, definition, trial).run(inputs)
    trial.seconds = monotonic() - began
    return trial


@dataclass(slots=True)
class _Desk:
    loop: EventLoop
    launcher: Launcher
    problem: str
    host: Host | None

    def allowed(self, timeout_s: float | None) -> tuple[float | None, str]:
        """Return how long a program may take, and what is said of one that takes longer."""
        longest_s = self.host.longest_s if self.host else None
        if longest_s is not None and (timeout_s is None or timeout_s > longest_s):
            return longest_s, f"no end within {longest_s:g} s, the longest that a try takes"
        return timeout_s, f"no answer within {timeout_s or 0:g} s (timeout)"

    def most_bytes(self, limit: int) -> int:
        """Return how much it may write."""
        return min(limit, self.host.most_bytes) if self.host else limit


def _scratch(host: Host | None) -> AbstractContextManager[str]:
    if host is not None:
        return nullcontext(host.scratch)
    return tempfile.TemporaryDirectory(prefix="sb-try-", ignore_cleanup_errors=True)


@contextmanager
def _desk(definition: ProcessDefinition, scratch: str, host: Host | None) -> Iterator[_Desk]:
    """Prepare what programs are started with, from their folder."""
    folder = definition.cwd or scratch
    env = environment(
        definition,
        operation="try",
        stream="try",
        home=scratch,
        inherited=os.environ,
        mark=host.mark if host else {},
    )
    loop = EventLoop()
    reaper = Reaper(loop, alone=host is not None)
    before = Path.cwd()
    try:
        problem = folder_problem(folder) or ""
        if not problem:
            os.chdir(folder)
        found = command(definition, env["PATH"])
        launcher = Launcher(
            loop,
            reaper,
            found.words,
            env,
            definition.limits if host else definition.limits.model_copy(update=_ON_THE_DESK),
            LogLines(),
            run_as=host.run_as if host else None,
            sandbox=sandbox_of(definition, scratch),
            cgroups=host.cgroups if host else {},
        )
        problem = problem or found.problem or launcher.problem() or ""
        yield _Desk(loop, launcher, problem, host)
    finally:
        os.chdir(before)
        if host is not None:
            reaper.end_all()
        reaper.close()
        loop.close()


class _Singles:
    """One process after the other."""

    def __init__(
        self, desk: _Desk, definition: ProcessDefinition, trial: Trial, content_type: str
    ) -> None:
        self._desk = desk
        self._definition = definition
        self._trial = trial
        self._content_type = content_type
        self._ids = MessageIds()

    def run(self, inputs: Iterable[bytes | None]) -> None:
        for body in inputs:
            if body is None:
                continue
            self._trial.inputs += 1
            if not self._one(body):
                return

    def _one(self, body: bytes) -> bool:
        """Return whether another one may be tried."""
        output = bytearray()
        this = Run()
        self._trial.runs.append(this)
        env = message_environment(
            message_id=self._ids.next(), attempt=1, content_type=self._content_type, traceparent=""
        )
        limit = self._desk.most_bytes(
            self._definition.max_output_bytes
        )  # what is large would be an object

        def collect(data: bytes) -> None:
            nonlocal output
            output += data
            if len(output) > limit + 1 and not this.problem:  # a text's last newline isn't output
                this.problem = f"more than {limit} bytes of output"
                child.kill()
                output.clear()

        try:
            child, _ = self._desk.launcher.start(
                env,
                to_stdin(body, self._content_type),
                on_output=collect,
                on_end=lambda _exit: self._desk.loop.stop(),
            )
        except CannotRunError as error:
            this.problem = str(error)
            return False
        _serve(self._desk.loop, child, this, *self._desk.allowed(self._definition.timeout))
        if this.ok:
            declared = self._definition.output_content_type or self._content_type
            body, _ = from_stdout(bytes(output), declared)
            self._trial.take([body])
        return True


def _serve(loop: EventLoop, child: Child, this: Run, timeout_s: float | None, late: str) -> None:
    """Wait until the program is over, ending it when it takes too long."""
    began = monotonic()

    def overdue() -> None:
        this.problem = late
        child.end()

    timer = loop.call_later(timeout_s, overdue) if timeout_s else None
    try:
        loop.run_until(lambda: child.over)
    finally:
        loop.cancel(timer)
        child.kill()
        loop.run_until(lambda: child.over)
    this.seconds = monotonic() - began
    this.exit = child.exit
    this.stderr = child.errors.tail.text()


class _Service:
    """One process for all; its input ends when it has settled."""

    def __init__(self, desk: _Desk, definition: ProcessDefinition, trial: Trial) -> None:
        self._desk = desk
        self._definition = definition
        self._trial = trial
        self._run = Run()
        self._early = self._came_bytes = 0
        self._since = monotonic()
        self._closed = False
        self._fed_all = False
        limit = min(definition.max_output_bytes, MAX_INLINE_BYTES)
        self._decoder = Decoder(definition.framing, max_frame_bytes=limit)
        self._inputs: Iterator[bytes | None] = iter(())

    def run(self, inputs: Iterable[bytes | None]) -> None:
        self._inputs = iter(inputs)
        self._trial.runs.append(self._run)
        try:
            self._worker = Worker(
                self._desk.launcher,
                on_output=self._output,
                on_written=self._written,
                on_end=self._ended,
            )
        except CannotRunError as error:
            self._run.problem = str(error)
            return
        self._settling = self._desk.launcher.settling(
            self._worker.pid, settle_s=self._definition.settle_s, strays=list
        )
        self._desk.loop.call_soon(self._look)
        _serve(self._desk.loop, self._worker.child, self._run, *self._desk.allowed(None))
        self._run.problem = self._run.problem or self._worker.cut or self._shortcoming()
        late = len(self._trial.outputs) - self._early
        self._trial.held_back = self._trial.inputs > 0 and self._early == 0 and late > 0

    def _shortcoming(self) -> str:
        """Return what an operation would hold against a program that ended by itself, or ''."""
        asked, answers = self._trial.inputs, self._trial.answers
        if not self._closed and self._run.exit is not None:
            return f"the program ended: {self._run.exit.text}"
        if self._definition.replies is Replies.ANY or not self._run.ok or answers == asked:
            return ""
        if answers > asked:
            return SURPLUS
        return f"gave {answers} answers to {asked} messages: 'replies: one' is one answer each"

    def _written(self) -> None:
        self._since = monotonic()
        self._feed()

    def _feed(self) -> None:
        while self._worker.room and not self._fed_all:
            try:
                body = next(self._inputs)
            except StopIteration:
                self._fed_all = True
                return
            if body is None:
                return
            self._since = monotonic()
            self._trial.inputs += 1
            self._worker.feed(encode(self._definition.framing, body))

    def _look(self) -> None:
        """End the input when all of it is done; end the program when it takes too long."""
        child = self._worker.child
        if child.over or self._closed:
            return
        self._feed()
        now, timeout = monotonic(), self._definition.timeout
        settled = self._worker.read_all and self._settling.settled(now)
        if settled and self._fed_all:
            child.read_all()
            self._early = len(self._trial.outputs)
            self._closed = True
            self._worker.close()
            self._desk.loop.call_later(_LEAVE_S, child.end)
            return
        if settled:  # it waits for more, as we do
            self._since = now
        elif timeout is not None and now - self._since > timeout:
            self._worker.cut_off(f"no answer within {timeout:g} s (timeout)")
            return
        self._desk.loop.call_later(_POLL_S, self._look)

    def _output(self, data: bytes) -> None:
        self._since = monotonic()
        if self._worker.cut:
            return
        self._came_bytes += len(data)
        if self._came_bytes > (most := self._desk.most_bytes(self._came_bytes)):
            self._worker.cut_off(f"more than {most} bytes of output", at_once=True)
            return
        try:
            self._trial.take(self._decoder.feed(data))
        except FramingError as error:
            self._worker.cut_off(str(error), at_once=True)

    def _ended(self, exit_: Exit) -> None:
        if exit_.code == 0 and not self._worker.cut:
            with suppress(FramingError):
                last = self._decoder.finish()
                self._trial.take([last] if last is not None else [])
        self._desk.loop.stop()
