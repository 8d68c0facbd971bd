"""What clients get: the manager's values as JSON."""

import base64
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from manager.changes import Change
from manager.machines.model import MachineRecord
from manager.model import (
    Archive,
    ArchiveStatus,
    DeadLetter,
    Definition,
    LogEntry,
    Operation,
    OperationStatus,
    Operator,
    Stream,
    Token,
    User,
)
from manager.nodes import Node
from manager.people import StreamRights
from manager.replays.state import Replay
from streams.archive.keys import time_of
from streams.control import TrialTold

Json = dict[str, Any]

#: How much of a dead letter's body is shown; all of it comes back with a redrive.
SHOWN_BYTES = 16 * 1024


def trial(told: TrialTold) -> Json:
    """Show what came of a trial."""
    return {
        "node": told.node,
        "ok": told.ok,
        "outputs": [
            {"body_base64": output.body, "size_bytes": output.size_bytes} for output in told.outputs
        ],
        "output_messages": told.output_messages,
        "exit_status": told.exit_status,
        "reason": told.reason,
        "outcome": told.outcome,
        "stderr": told.stderr,
        "duration_s": told.duration_s,
        "held_back": told.held_back,
    }


def definition(value: Definition) -> Json:
    """Show a process definition."""
    return {
        "id": value.id,
        "version": value.version,
        "owner": value.owner,
        "definition": value.definition.to_mapping(),
        "changed_by": value.by,
        "changed_at": instant(value.at),
        "resource_uri": f"/api/process_definition/{value.id}/",
    }


def version(value: Definition, changed: Sequence[Change]) -> Json:
    """Show a version of a process definition, and what it changed."""
    shown = definition(value)
    uri = f"{shown['resource_uri']}versions/{value.version}/"
    return {**shown, "changes": [asdict(change) for change in changed], "resource_uri": uri}


def stream(value: Stream, consumers: int) -> Json:
    """Show a stream."""
    return {
        "name": value.name,
        "owner": value.owner or None,
        "consumers": consumers,
        "resource_uri": f"/api/streams/{value.name}/",
    }


def operation(value: Operation, status: OperationStatus) -> Json:
    """Show an operation and what it does."""
    return {
        "name": value.name,
        "owner": value.owner,
        "process_definition_id": value.process_definition_id,
        "input_stream": value.input_stream,
        "output_stream": value.output_stream,
        "demand": value.demand.value,
        "instances": asdict(value.instances),
        "linger_s": value.linger_s,
        "drain_s": value.drain_s,
        "backlog": asdict(value.backlog),
        "revision": value.revision,
        "state": status.state.value,
        "reason": status.reason,
        "nodes": list(status.nodes),
        "backlog_messages": status.backlog_messages,
        "dead_letters": status.dead_letters,
        "since": instant(status.since),
        "rate_in": status.rate_in,
        "rate_out": status.rate_out,
        "counters": status.counters.model_dump(mode="json"),
        "operators": [operator(one) for one in status.operators],
        "resource_uri": f"/api/operations/{value.name}/",
    }


def operator(value: Operator) -> Json:
    """Show an operator; its counters are in its operation's, but for what tells it from others."""
    said = value.report
    return {
        "node": value.node,
        "state": said.state.value,
        "reason": said.reason,
        "since": instant(value.since),
        "in_hand": said.counters.in_hand,
        "acknowledged": said.counters.acknowledged,
        "restarts": said.counters.restarts,
    }


def archive(value: Archive, status: ArchiveStatus, place: str | None) -> Json:
    """Show an archive: what was asked, what it holds, and how it is."""
    tally = value.tally
    return {
        "stream": value.stream,
        "owner": value.owner,
        "place": place,
        "state": status.state.value,
        "reason": status.reason,
        "passive": value.passive,
        "keep_days": value.keep_days,
        "messages": tally.messages,
        "segments": tally.segments,
        "size_bytes": tally.size_bytes,
        "first_at": instant(tally.first_at),
        "last_at": instant(tally.last_at),
        "lag_messages": status.lag_messages,
        "resource_uri": f"/api/streams/{value.stream}/archive/",
    }


def replay(value: Replay) -> Json:
    """Show a replay: what was asked, and how far it is."""
    request, progress = value.request, value.progress
    return {
        "id": request.id,
        "stream": request.stream,
        "onto": request.onto,
        "owner": value.owner,
        "from": _instant_of(request.since_us),
        "to": _instant_of(request.until_us),
        "speed": str(request.speed),
        "limit": request.limit,
        "fresh_ids": request.fresh_ids,
        "state": value.state.value,
        "reason": value.reason,
        "messages": progress.messages,
        "repeats": progress.repeats,
        "problems": list(progress.problems),
        "created_at": instant(value.created_at),
        "ended_at": instant(value.ended_at),
        "resource_uri": f"/api/streams/{request.stream}/replays/{request.id}/",
    }


def node(value: Node) -> Json:
    """Show a node: what was added, what was heard of it, and the machine that was launched."""
    heard = value.status
    return {
        "name": value.name,
        "owner": value.record.owner,
        "added_at": instant(value.record.added_at),
        "draining": value.record.draining,
        "state": heard.state.value,
        "incarnation": heard.incarnation,
        "slots": heard.slots,
        "offers": list(heard.offers),
        "operations": list(heard.operations),
        "last_seen": instant(heard.last_seen),
        "started_at": instant(heard.started_at),
        "cpu_percent": heard.cpu_percent,
        "cores": heard.cores,
        "memory_bytes": heard.memory_bytes,
        "memory_total_bytes": heard.memory_total_bytes,
        "operators": heard.operators,
        **_machine(value.machine, value.price),
        "resource_uri": f"/api/nodes/{value.name}/",
    }


def _machine(value: MachineRecord | None, price: float | None) -> Json:
    """Show a machine that the manager launched; nothing but nulls for another."""
    shown = ("cloud", "handle", "phase", "why", "size", "until", "price_per_hour", "price")
    if value is None:
        return dict.fromkeys(shown)
    return {
        "cloud": value.cloud,
        "handle": value.handle,
        "phase": value.phase.value,
        "why": value.broken or value.why,
        "size": value.size,
        "until": instant(value.ends_at),
        "price_per_hour": value.price_per_hour,
        "price": None if price is None else round(price, 4),
    }


def user(value: User) -> Json:
    """Show a user."""
    return {
        "name": value.name,
        "role": value.role.value,
        "buckets": list(value.buckets),
        "resource_uri": f"/api/users/{value.name}/",
    }


def token(owner: str, value: Token) -> Json:
    """Show a token, which itself isn't known any more."""
    return {
        "id": value.id,
        "label": value.label,
        "created_at": instant(value.created_at),
        "used_at": instant(value.used_at),
        "resource_uri": f"/api/users/{owner}/tokens/{value.id}/",
    }


def stream_rights(owner: str, rights: StreamRights) -> Json:
    """Show which streams a user may use on the broker."""
    return {
        "publish": list(rights.publish),
        "consume": list(rights.consume),
        "resource_uri": f"/api/users/{owner}/streams/",
    }


def subscription(stream_name: str, name: str, messages: int) -> Json:
    """Show a subscription and how many messages wait in it."""
    return {
        "stream": stream_name,
        "name": name,
        "messages": messages,
        "resource_uri": f"/api/subscriptions/{stream_name}/{name}/",
    }


def log_entry(value: LogEntry) -> Json:
    """Show some lines of stderr."""
    return {
        "at": instant(value.at),
        "node": value.node,
        "lines": list(value.lines),
        "dropped": value.dropped,
    }


def dead_letter(value: DeadLetter) -> Json:
    """Show a dead letter: `body` as text or, where it isn't UTF-8, `body_base64`."""
    shown = {
        "message_id": value.message_id,
        "content_type": value.content_type,
        "reason": value.reason,
        "exit_status": value.exit_status,
        "attempts": value.attempts,
        "node": value.node,
        "failed_at": value.failed_at,
        "stderr": value.stderr,
        "body_bytes": value.size_bytes,
        "body": None,
        "body_base64": None,
        "headers": {name: _plain(item) for name, item in value.headers.items()},
    }
    part = value.body[:SHOWN_BYTES]
    try:
        # a character that was cut in two at the end is no reason to call a text binary
        cut = len(part) < value.size_bytes
        shown["body"] = part.decode(errors="strict") if not cut else _text(part)
    except UnicodeDecodeError:
        shown["body_base64"] = base64.b64encode(part).decode()
    return shown


def _text(part: bytes) -> str:
    """Decode UTF-8 that may end within a character."""
    try:
        return part.decode()
    except UnicodeDecodeError as error:
        if error.end < len(part):
            raise
        return part[: error.start].decode()


def _plain(item: object) -> object:
    if item is None or isinstance(item, bool | int | str):
        return item
    return str(item)


def _instant_of(us: int | None) -> str | None:
    return None if us is None else time_of(us).isoformat()


def instant(moment: datetime | None) -> str | None:
    """Return a moment as text."""
    return moment.isoformat() if moment else None
