"""What happens: every change of state, with its cause, and whatever a person did.

Kept by the store as the activity, and told on the stream `streamboss.events`, in JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from manager.machines.model import MachineRecord

VERSION = 1


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to `name`: `<kind>.<what>`. Without `by` nobody in person did it."""

    event: str
    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    by: str = ""
    at: datetime = field(default_factory=_now)

    @property
    def kind(self) -> str:
        """What it happened to: an operation, a stream, a node ..."""
        return self.event.partition(".")[0]

    def document(self) -> dict[str, Any]:
        """Return it as it is told and exported."""
        at = self.at.isoformat(timespec="milliseconds")
        by = {"by": self.by} if self.by else {}
        return {
            "v": VERSION,
            "event": self.event,
            "at": at,
            self.kind: self.name,
            **by,
            **self.fields,
        }


def state_changed(
    kind: str,
    name: str,
    *,
    before: str | None,
    after: str,
    reason: str,
    nodes: tuple[str, ...] = (),
) -> Event:
    """Return the event that an operation (or a node) is in another state than before."""
    fields = {"from": before, "to": after, "reason": reason, "nodes": list(nodes)}
    return Event(f"{kind}.state", name, fields)


def machine_changed(machine: MachineRecord, before: MachineRecord | None) -> Event:
    """Return the event that a machine came to another phase of its life, with the cause."""
    fields = {
        "from": before.phase.value if before else None,
        "to": machine.phase.value,
        "reason": machine.why,
        "cloud": machine.cloud,
        "handle": machine.handle,
        "application": machine.application,
        "price_per_hour": machine.price_per_hour,
    }
    return Event("machine.phase", machine.node, fields)


def lease_moved(machine: MachineRecord) -> Event:
    """Return the event that a machine's lease ends at another time, as its cloud tells it."""
    fields = {"until": machine.ends_at.isoformat(timespec="seconds"), "cloud": machine.cloud}
    return Event("machine.lease-moved", machine.node, fields)
