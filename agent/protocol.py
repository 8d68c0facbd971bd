"""What the node agent and an operator process say to one another: a JSON object a line.

The agent writes to the operator's stdin: first `Connect`, at once; later, when there is work, one
`Start`; at the end `Drain`. The end of stdin means that the agent is gone: the operator ends its
programs and exits. The operator writes to stdout: `Ready` when it is connected, `Report` on each
change of state and at most once a second for its counters, `Log` for its program's stderr, and
`Alive` every `beat_s`: one that hangs, connected or not, is ended.
"""

from enum import IntEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from streams.control import Assigned, OperatorReport, TrialAsked, TrialTold

#: Where the kernel allows no pid namespace, operator and programs carry this, and the agent ends
#: whatever still does when its operator is gone.
MARK_VARIABLE = "STREAMBOSS_AGENT_MARK"

#: How often an operator says that it is alive.
BEAT_S = 10.0


class ExitStatus(IntEnum):
    """How an operator process ends."""

    DRAINED = 0
    BUG = 1
    LOST_CONNECTION = 3
    AGENT_GONE = 4


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Connect(_Line):
    """Connect to the broker, as this node, and wait."""

    kind: Literal["connect"] = "connect"
    amqp_urls: tuple[str, ...] = Field(repr=False)
    node: str
    scratch: str
    """An empty folder of the operator's own: HOME and, by default, cwd of its programs."""
    beat_s: float = BEAT_S
    """How often it has to say that it is alive."""
    mark: str | None = None
    """What `MARK_VARIABLE` has to be in its programs' environment; None: leave it out."""
    cgroups: dict[str, str] = Field(default_factory=dict)
    """What the paths of its programs' cgroups begin with, by controller; empty: there are none."""
    run_as: str | None = None
    """The user who runs its programs; None: the operator's own."""


class Start(_Line):
    """Run this operation. Said again, it changes only how S3 is reached."""

    kind: Literal["start"] = "start"
    assigned: Assigned


class Try(_Line):
    """Try a program: the one line to a process of `agent.trying`; it answers with one `Tried`."""

    kind: Literal["try"] = "try"
    asked: TrialAsked
    scratch: str
    mark: str | None = None
    cgroups: dict[str, str] = Field(default_factory=dict)
    run_as: str | None = None


class Drain(_Line):
    """Take nothing more, finish what was delivered within `drain_s` seconds, end."""

    kind: Literal["drain"] = "drain"
    drain_s: float


class Ready(_Line):
    """Connected; `Start` begins at once."""

    kind: Literal["ready"] = "ready"


class Tried(_Line):
    """What came of a trial."""

    kind: Literal["tried"] = "tried"
    told: TrialTold


class Alive(_Line):
    """Its loop goes round."""

    kind: Literal["alive"] = "alive"


class Report(_Line):
    """How it goes."""

    kind: Literal["report"] = "report"
    report: OperatorReport


class Log(_Line):
    """Lines that the program wrote to stderr; `dropped` counts those left out before them."""

    kind: Literal["log"] = "log"
    lines: tuple[str, ...]
    dropped: int = 0
