"""Machines and images as the rest of the project sees them, on whatever cloud they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from provision import leases
from provision.leases import Lease

#: Tags on all that we create. What isn't tagged with our owner isn't ours.
PREFIX = "streamboss:"
OWNER = PREFIX + "owner"
RUN = PREFIX + "run"  # the command that created it
ATTEMPT = PREFIX + "attempt"  # the one call that created it
APPLIANCE = PREFIX + "appliance"
HASH = PREFIX + "hash"  # of the recipe's contents; of what a person saved, drawn by lot
BASE = PREFIX + "base"  # id of the image that it was made from
SOURCE = PREFIX + "source"  # id of the machine that an image was made from
LEASE_UNTIL = PREFIX + "lease-until"
SAVE_AS = PREFIX + "save-as"
AGENT = PREFIX + "agent"  # of images: whether a stream agent is in them, yes or no
ROLE = PREFIX + "role"
PROTECT = PREFIX + "protect"
PORTS = PREFIX + "ports"  # that others reach, besides ssh: numbers with commas between
NODE = PREFIX + "node"  # of machines that a manager launched: their name as a node
TERM = PREFIX + "term"  # the term of the leader that launched it
LAUNCHER = PREFIX + "launcher"  # what stands for that manager's database


class Role(StrEnum):
    """What a machine or image is for."""

    BUILD = "build"  # a machine that becomes an image
    TEST = "test"  # a machine that tries an image
    FLEET = "fleet"  # a machine that somebody wants to run
    MANAGER = "manager"  # a machine with a manager, which launches others
    CANDIDATE = "candidate"  # an image not yet tried
    IMAGE = "image"  # an image that was tried and promoted, or saved by a person
    CHECKPOINT = "checkpoint"  # an image of a build half done


class State(StrEnum):
    """Where a machine is in its life."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SUSPENDED = "suspended"
    FAILED = "failed"
    TERMINATED = "terminated"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine of one cloud, as listed a moment ago.

    `id` is what commands call its handle. `host` and `ssh_port` are None and 22 until the cloud
    says better; `ports` says where its ports are reached on `host`, if not at their own numbers.
    `launched_at` has a time zone, or is None where the cloud doesn't tell.
    """

    cloud: str
    id: str
    name: str
    state: State
    host: str | None
    ssh_port: int
    image: str
    size: str
    tags: Mapping[str, str] = field(default_factory=dict)
    launched_at: datetime | None = None
    lease: Lease | None = None
    ports: Mapping[int, int] = field(default_factory=dict)

    @property
    def role(self) -> str:
        """What it is for; empty if it doesn't say."""
        return self.tags.get(ROLE, "")

    def port(self, number: int) -> int:
        """Return the port of `host` that leads to the machine's own port `number`."""
        return self.ports.get(number, number)


@dataclass(frozen=True, slots=True)
class Image:
    """One image of one cloud. `parts` are the snapshots that hold its disks and go with it."""

    cloud: str
    id: str
    name: str
    available: bool
    failed: bool = False
    created_at: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] = ()


def ports_of(tags: Mapping[str, str]) -> tuple[int, ...]:
    """Return the ports that others shall reach, besides ssh."""
    return tuple(int(number) for number in tags.get(PORTS, "").split(",") if number)


def lease_of(tags: Mapping[str, str], launched_at: datetime | None) -> Lease | None:
    """Return the lease that `tags` describe, or None where they name no end."""
    ends_at = leases.read(tags.get(LEASE_UNTIL, ""))
    if ends_at is None:
        return None
    return Lease(
        owner=tags.get(OWNER, ""),
        purpose=tags.get(ROLE, ""),
        starts_at=launched_at or ends_at,
        ends_at=ends_at,
        save_as=tags.get(SAVE_AS) or None,
    )


def lease_tags(lease: Lease) -> dict[str, str]:
    """Return the tags that `lease_of` reads."""
    tags = {OWNER: lease.owner, ROLE: lease.purpose, LEASE_UNTIL: leases.written(lease.ends_at)}
    return tags | ({SAVE_AS: lease.save_as} if lease.save_as else {})
