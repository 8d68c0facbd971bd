"""The headers of a dead letter: what happened, and what it brought, under 64 KiB. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.operator.payload import kept_headers
from agent.operator.tail import last_text
from streams.message import PUBLISHED_US, REPLAY, REPLAY_OF

#: More than 64 KiB of headers breaks connections; some room is left for the other properties.
HEADERS_BYTES = 60 * 1024
_REASON_BYTES = 2048
#: Ours that tell where a message came from, not what happened to it.
_KEPT_OF_OURS = (PUBLISHED_US, REPLAY, REPLAY_OF)

Headers = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Death:
    """Why an operation gave a message up."""

    reason: str
    exit_status: str
    attempts: int
    node: str
    failed_at: str
    stderr: str = ""


def dead_headers(
    death: Death, headers: Headers | None, size: Callable[[Headers], int]
) -> dict[Any, Any]:
    """Return the headers under which a message goes to its dead letters.

    `size` tells how many bytes headers take. Where they are too many the foreign ones go, the
    largest first.
    """
    came = headers or {}
    ours = {
        "x-streamboss-reason": last_text(death.reason.encode(errors="replace"), _REASON_BYTES),
        "x-streamboss-exit-status": death.exit_status,
        "x-streamboss-attempts": death.attempts,
        "x-streamboss-node": death.node,
        "x-streamboss-failed-at": death.failed_at,
        "x-streamboss-stderr": death.stderr,
        **{name: came[name] for name in _KEPT_OF_OURS if name in came},
    }
    foreign = kept_headers(came)
    while foreign and size({**foreign, **ours}) > HEADERS_BYTES:
        foreign.pop(max(foreign, key=lambda name: size({name: foreign[name]})))
    return {**foreign, **ours}
