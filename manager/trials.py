"""Trials: a node that may run a definition's application tries its program, and says what came."""

import secrets
import threading
from base64 import b64encode
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from manager.dispatcher import NodeView
from manager.errors import ConflictError, NoAnswerError
from streams.control import TRIAL_S, TrialAsked, TrialTold, decode
from streams.definition import ProcessDefinition
from streams.errors import ControlError

#: What a node gets beyond the program's time: its own grace, and the way there and back.
_WAIT_S = TRIAL_S + 15.0
#: So many at once: each holds a thread that answers requests.
_MOST = 8


@dataclass(slots=True)
class _Waiting:
    node: str
    done: threading.Event = field(default_factory=threading.Event)
    told: TrialTold | None = None


class Trials:
    """Asks nodes, one trial each at a time, and hands out their answers; thread-safe."""

    def __init__(self, ask: Callable[[TrialAsked], bool], *, wait_s: float = _WAIT_S) -> None:
        """`ask` sends to a node, and says whether its agent is there to take it."""
        self._ask, self._wait_s = ask, wait_s
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}

    def make(
        self, nodes: Sequence[NodeView], definition: ProcessDefinition, body: bytes, kind: str
    ) -> TrialTold:
        """Have a message (of content type `kind`) tried on one of `nodes`; wait for what comes.

        Raises:
            ConflictError: no node can try it now.
            NoAnswerError: the node said nothing in time.
            BrokerError: the broker is away.
        """
        trial = secrets.token_hex(8)
        with self._lock:
            if len(self._waiting) >= _MOST:
                raise ConflictError(f"{_MOST} programs are being tried already: try again soon")
            busy = {waiting.node for waiting in self._waiting.values()}
            node = choose(nodes, definition.application, busy)
            waiting = self._waiting[trial] = _Waiting(node)
        asked = TrialAsked(
            trial=trial,
            node=node,
            definition=definition,
            body=b64encode(body).decode(),
            content_type=kind,
        )
        try:
            if not self._ask(asked):
                raise ConflictError(f"the agent of node {node!r} has just gone: try again soon")
            waiting.done.wait(self._wait_s)
        finally:
            with self._lock:
                del self._waiting[trial]
        if waiting.told is None:
            raise NoAnswerError(
                f"node {node!r} said nothing within {self._wait_s:g} s: look at its agent's log"
            )
        if waiting.told.problem:
            raise ConflictError(f"node {node!r}: {waiting.told.problem}")
        return waiting.told

    def hear(self, node: str, raw: bytes) -> None:
        """Take in what a node tells; what nobody waits for any more is dropped.

        Raises:
            ControlError: it can't be understood, or another node was asked.
        """
        told = decode(TrialTold, raw)
        with self._lock:
            waiting = self._waiting.get(told.trial)
        if waiting is None:
            return
        if waiting.node != node or told.node != node:
            raise ControlError(f"node {node!r} speaks of a trial that it wasn't asked for")
        waiting.told = told
        waiting.done.set()


def choose(nodes: Sequence[NodeView], application: str, busy: Collection[str]) -> str:
    """Return the node to try on: one that offers the application by name first. Pure.

    Raises:
        ConflictError: with what to do, if there is none.
    """
    offering = [n for n in nodes if n.takes_more and n.offers_application(application)]
    if not offering:
        raise ConflictError(
            f"no node that is ready offers the application {application!r}: start an agent that"
            " does, or try it on your own computer with 'streamboss try'"
        )
    able = [node for node in offering if node.tries]
    if not able:
        names = ", ".join(sorted(node.name for node in offering)[:10])
        raise ConflictError(
            f"what offers the application {application!r} runs an older release, which can't try"
            f" programs: update the agent of {names}"
        )
    free = [node for node in able if node.name not in busy]
    if not free:
        raise ConflictError(
            f"each node that offers the application {application!r} is trying another program:"
            " try again soon"
        )
    return min(free, key=lambda n: (not n.names(application), len(n.reports), n.name)).name
