"""A trial in a process of its own: `python -m agent.trying`, which a node agent starts.

It reads one `Try` from stdin and answers on stdout, as an operator does. Nothing that the program
began outlives it.
"""

import logging
import os
import signal
import sys
from base64 import b64decode, b64encode

from pydantic import BaseModel

from agent import trial
from agent.judgement import outcome, reason
from agent.protocol import MARK_VARIABLE, Ready, Tried, Try
from streams.control import TRIAL_BYTES, TRIAL_S, TrialAsked, TrialOutput, TrialTold

log = logging.getLogger("agent.trying")

#: So many of a service's messages are shown.
_SHOWN_OUTPUTS = 20
#: A program is ended that writes more than that: all of it is in our memory.
_MOST_BYTES = 16 * 1024 * 1024
_STDERR_BYTES = 4096


def main() -> None:
    """Try one program."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the agent decides on ^C
    line = Try.model_validate_json(sys.stdin.buffer.readline())
    _say(Ready())
    host = trial.Host(
        scratch=line.scratch,
        longest_s=TRIAL_S,
        most_bytes=_MOST_BYTES,
        run_as=line.run_as,
        cgroups=line.cgroups,
        mark={MARK_VARIABLE: line.mark} if line.mark else {},
    )
    asked = line.asked
    body = b64decode(asked.body)
    made = trial.run(asked.definition, [body], content_type=asked.content_type, host=host)
    _say(Tried(told=_told(asked, made)))


def _told(asked: TrialAsked, made: trial.Trial) -> TrialTold:
    """Return what came of it, as much as is shown."""
    run = made.runs[0]
    return TrialTold(
        trial=asked.trial,
        node=asked.node,
        ok=made.ok,
        outputs=_shown(made.outputs),
        output_messages=len(made.outputs),
        exit_status=run.exit.label if run.exit else None,
        reason=reason(run),
        outcome="" if run.ok else outcome(asked.definition, run),
        stderr=run.stderr[-_STDERR_BYTES:],
        duration_s=round(run.seconds, 6),
        held_back=made.held_back,
    )


def _shown(outputs: list[bytes]) -> tuple[TrialOutput, ...]:
    """Return the first messages, `TRIAL_BYTES` of them in all."""
    room, shown = TRIAL_BYTES, list[TrialOutput]()
    for body in outputs[:_SHOWN_OUTPUTS]:
        part = body[:room]
        room -= len(part)
        shown.append(TrialOutput(body=b64encode(part).decode(), size_bytes=len(body)))
    return tuple(shown)


def _say(line: BaseModel) -> None:
    sys.stdout.buffer.write(line.model_dump_json().encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    status = 1
    try:
        main()
        status = 0
    except Exception:
        log.exception("a bug in the trial")
    sys.stderr.flush()
    os._exit(status)
