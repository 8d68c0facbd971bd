"""What happens, as messages on the stream `streamboss.events`: every change of state, JSON."""

import json
from datetime import UTC, datetime

VERSION = 1


def state_changed(
    kind: str,
    name: str,
    *,
    before: str | None,
    after: str,
    reason: str,
    nodes: tuple[str, ...] = (),
) -> bytes:
    """Return the event that an operation (or a node) is in another state than before."""
    return _event(
        f"{kind}.state", {kind: name, "from": before, "to": after, "reason": reason, "nodes": nodes}
    )


def _event(event: str, fields: dict[str, object]) -> bytes:
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps({"v": VERSION, "event": event, "at": at, **fields}).encode()
