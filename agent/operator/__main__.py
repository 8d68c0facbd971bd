"""The operator process: `python -m agent.operator`. Its own log goes to stderr."""

import gc
import json
import logging
import os
import signal
import sys

from agent.operator.life import Operator
from agent.operator.reaper import Reaper
from agent.operator.talk import Talk
from agent.protocol import Alive, Connect, Drain, ExitStatus, Ready, Start
from streams.broker import EventLoop, LoopConnection
from streams.errors import BrokerError

log = logging.getLogger("agent.operator")

#: So many more objects than before make Python look for cycles among them.
_GARBAGE = 50_000


class Process:
    """Does what the agent says, until it ends; `status` is how."""

    def __init__(self) -> None:
        self._loop = EventLoop()
        self._reaper = Reaper(self._loop)
        self._talk = Talk(self._loop, on_line=self._heard, on_end=self._alone)
        self._connect: Connect | None = None
        self._connection: LoopConnection | None = None
        self._start: Start | None = None
        self._ready = False
        self._operator: Operator | None = None
        self.status = ExitStatus.BUG
        # the agent decides on ^C, which reaches the whole terminal
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._reaper.on_signal(signal.SIGTERM, self._alone)

    def run(self) -> int:
        """Serve until the end; leave no program behind."""
        try:
            self._loop.run()
        finally:
            if self._operator is not None:
                self._operator.kill()
            self._reaper.end_all()
            self._talk.flush()
            if self._operator is not None:
                self._operator.tidy_up()
        return self.status

    def _beat(self, every_s: float) -> None:
        self._talk.say(Alive())
        self._loop.call_later(every_s, lambda: self._beat(every_s))

    def _heard(self, line: bytes) -> None:
        if not line.strip():
            return
        said = json.loads(line)
        match said.get("kind"):
            case "connect":
                self._open(Connect.model_validate(said))
            case "start":
                self._start = Start.model_validate(said)
                if self._operator is None:
                    self._begin()
                else:
                    self._operator.reach(self._start.assigned.objects)
            case "drain":
                self._drain(Drain.model_validate(said))
            case kind:
                log.warning("a line of unknown kind %r: left out", kind)

    def _open(self, connect: Connect) -> None:
        self._connect = connect
        self._beat(connect.beat_s)
        self._connection = LoopConnection(
            self._loop,
            connect.amqp_urls,
            name=f"operator on {connect.node}",
            on_ready=self._connected,
            on_lost=self._lost,
        )

    def _connected(self) -> None:
        self._ready = True
        self._talk.say(Ready())
        self._begin()

    def _begin(self) -> None:
        if not (self._ready and self._start and self._connect and self._connection):
            return
        if self._operator is None:
            self._operator = Operator(
                self._loop,
                self._reaper,
                self._connection,
                self._connect,
                self._start.assigned,
                say=self._talk.say,
                on_stopped=lambda: self._stop(ExitStatus.DRAINED),
                on_lost=self._lost,
            )
            self._operator.start()

    def _drain(self, drain: Drain) -> None:
        if self._operator is not None:
            self._operator.drain(drain.drain_s)
        elif self._connection is not None and self._connection.is_open:
            self._connection.close(lambda: self._stop(ExitStatus.DRAINED))
        else:
            self._stop(ExitStatus.DRAINED)

    def _lost(self, error: BrokerError | str) -> None:
        log.error("%s", error)
        self._stop(ExitStatus.LOST_CONNECTION)

    def _alone(self) -> None:
        self._stop(ExitStatus.AGENT_GONE)

    def _stop(self, status: ExitStatus) -> None:
        self.status = status
        self._loop.stop()


def main() -> int:
    """Run one operator process."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    # what is loaded stays, and thousands of messages in hand are no garbage
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    return Process().run()


if __name__ == "__main__":
    status: int = ExitStatus.BUG
    try:
        status = main()
    except Exception:
        log.exception("a bug in the operator")
    sys.stderr.flush()
    os._exit(status)  # a thread that waits for S3 would hold us
