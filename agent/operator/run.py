"""One process of `single` at work on one message, and what its end means."""

from dataclasses import dataclass
from enum import Enum

from agent.operator.child import Child, Exit
from agent.operator.fate import Failure
from agent.operator.intake import Item
from agent.operator.output import Output

EX_DATAERR, EX_TEMPFAIL = 65, 75
CANNOT_RUN = frozenset({126, 127})


class Verdict(Enum):
    """What an exit means for the message."""

    OUTPUT = "output"
    FAILED = "failed"
    LATER = "later"
    BAD = "bad"
    CANNOT_RUN = "cannot run"


def judge(code: int) -> Verdict:
    """Return what an exit status means (a signal is a negative one)."""
    if code == 0:
        return Verdict.OUTPUT
    if code in CANNOT_RUN:
        return Verdict.CANNOT_RUN
    return {EX_DATAERR: Verdict.BAD, EX_TEMPFAIL: Verdict.LATER}.get(code, Verdict.FAILED)


@dataclass(slots=True, eq=False)
class Run:
    """A process, its input and its output; `deadline` is by the monotonic clock, or never."""

    item: Item
    output: Output
    deadline: float | None
    child: Child | None = None
    #: why the program was ended by us
    cut: str = ""
    #: its output can't be stored now: the program is run again, and no attempt is counted
    unstored: bool = False

    @property
    def timed(self) -> bool:
        """Whether time runs against the program: not while it waits for S3 with its output."""
        paused = self.child is not None and self.child.paused
        return self.deadline is not None and not paused and not self.cut

    def pause(self, *, paused: bool) -> None:
        """Let the program wait while S3 is slow."""
        if self.child is None:
            return
        lost_s = self.child.pause_output(paused=paused)
        if self.deadline is not None:
            self.deadline += lost_s

    def cut_off(self, reason: str, *, at_once: bool = True) -> None:
        """End the program, for this reason, and forget its output."""
        if self.cut or self.child is None:
            return
        self.cut = reason
        self.output.drop()
        self.pause(paused=False)
        if at_once:
            self.child.kill()
        else:
            self.child.end()

    def verdict(self, exit_: Exit) -> Verdict:
        """Return what its end means."""
        return Verdict.FAILED if self.cut else judge(exit_.code)

    def failure(self, exit_: Exit) -> Failure:
        """Return what went wrong."""
        verdict = self.verdict(exit_)
        return Failure(
            reason=self.cut or exit_.text,
            exit_status=exit_.label,
            stderr=self.child.errors.tail.text() if self.child is not None else "",
            final=verdict is Verdict.BAD,
            blamed=verdict is not Verdict.LATER,
        )

    def problem(self, exit_: Exit) -> str:
        """Say why the program can't be run."""
        said = self.child.errors.tail.last_line() if self.child is not None else ""
        return f"the program can't be run ({exit_.text})" + (f": {said}" if said else "")
