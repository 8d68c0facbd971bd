"""libcloud's nodes and images as our own machines and images."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from libcloud.compute.base import Node, NodeImage
from libcloud.compute.types import NodeState

from provision.machine import ATTEMPT, OWNER, Image, Machine, State, lease_of

_STATES = {
    NodeState.RUNNING: State.RUNNING,
    NodeState.STARTING: State.PENDING,
    NodeState.PENDING: State.PENDING,
    NodeState.REBOOTING: State.RUNNING,
    NodeState.STOPPING: State.STOPPING,
    NodeState.STOPPED: State.STOPPED,
    NodeState.SUSPENDED: State.SUSPENDED,
    NodeState.PAUSED: State.SUSPENDED,
    NodeState.ERROR: State.FAILED,
    NodeState.TERMINATED: State.TERMINATED,
}
#: EC2's own words, of which libcloud makes "unknown".
_EC2_STATES = {
    "stopping": State.STOPPING,
    "stopped": State.STOPPED,
    "shutting-down": State.TERMINATED,
}
_AVAILABLE = {"available", "active"}
_IMAGE_FAILED = {"failed", "error", "invalid", "killed", "deregistered", "deleted"}
_TOKEN = re.compile(r"streamboss-([0-9a-f]{12})-([0-9a-f]{16})$")


def token(owner: str, attempt: str) -> str:
    """Return what marks an attempt's result as ours where there are no tags; 40 characters.

    The owner's hash, not the name: one owner's name may begin with another's.
    """
    return f"streamboss-{owner_mark(owner)}-{attempt}"


def owner_mark(owner: str) -> str:
    """Return 12 hex digits that stand for `owner` in names of keys and groups, and in tokens."""
    return sha256(owner.encode()).hexdigest()[:12]


def machine(
    cloud: str, owner: str, node: Node, journalled: Mapping[str, Mapping[str, str]]
) -> Machine:
    """Return `node` as a machine. Tags that the cloud doesn't keep come from the journal.

    Args:
        cloud: the cloud's name in the inventory.
        owner: who we are.
        node: as libcloud lists it.
        journalled: tags by attempt, as the journal knows them.
    """
    extra = node.extra or {}
    tags = _tags(owner, node, journalled)
    launched_at = node.created_at or _moment(extra.get("launch_time"))
    if launched_at is not None and launched_at.tzinfo is None:
        launched_at = launched_at.replace(tzinfo=UTC)
    addresses = [*node.public_ips, *node.private_ips]
    return Machine(
        cloud=cloud,
        id=str(node.id),
        name=str(node.name),
        state=_state(node),
        host=addresses[0] if addresses else None,
        ssh_port=int(extra.get("ssh_port") or 22),
        ports=dict(extra.get("ports") or {}),
        image=str(extra.get("image_id") or ""),
        size=str(extra.get("instance_type") or ""),
        tags=tags,
        launched_at=launched_at,
        lease=lease_of(tags, launched_at),
    )


def image(cloud: str, found: NodeImage, tags: Mapping[str, str]) -> Image:
    """Return `found` as an image; `tags`: what the journal adds to the cloud's own."""
    extra = found.extra or {}
    state = str(extra.get("state") or extra.get("status") or "available").lower()
    disks = (m.get("ebs") or {} for m in extra.get("block_device_mapping") or ())
    return Image(
        cloud=cloud,
        id=str(found.id),
        name=str(found.name or found.id),
        available=state in _AVAILABLE,
        failed=state in _IMAGE_FAILED,
        created_at=_moment(extra.get("creation_date") or extra.get("created")),
        tags={**tags, **_texts(extra.get("tags"))},
        parts=tuple(str(disk["snapshot_id"]) for disk in disks if disk.get("snapshot_id")),
    )


def _state(node: Node) -> State:
    status = str((node.extra or {}).get("status") or "").lower()
    return _EC2_STATES.get(status) or _STATES.get(node.state, State.UNKNOWN)


def _tags(owner: str, node: Node, journalled: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return a node's tags; from its token or name where the cloud keeps none.

    Whose it is, only what the cloud shows decides: its tags or its token, never the journal.
    """
    extra = node.extra or {}
    tags = _texts(extra.get("tags"))
    if OWNER in tags:
        return {**journalled.get(tags.get(ATTEMPT, ""), {}), **tags}
    for mark in (str(extra.get("client_token") or ""), str(node.name or "")):
        found = _TOKEN.search(mark)
        if found and found[1] == owner_mark(owner):
            return {**journalled.get(found[2], {}), **tags, OWNER: owner, ATTEMPT: found[2]}
    return tags


def _texts(raw: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in (raw or {}).items()}


def _moment(text: Any) -> datetime | None:
    if isinstance(text, datetime):
        return text
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
