"""What the manager knows of machines, as plain values: shared by plan, store and keeper.

A machine is a cloud's; a node is a machine with an agent. Times have a time zone and are the
store's, which no setting of a clock moves; only a lease's end is a date. Prices are an hour's, in
whatever currency the inventory has in mind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

#: So many boots of one image fail in a row before it isn't tried any more.
MOST_FAILED_BOOTS = 3


class Phase(StrEnum):
    """Where a machine is in its life, by our own records."""

    LAUNCHING = "launching"  # recorded; the cloud is being asked
    BOOTING = "booting"  # the cloud gave a handle
    READY = "ready"  # its agent was heard
    DRAINING = "draining"  # gets nothing new, finishes what it has
    ENDING = "ending"  # to be terminated; counts until the cloud confirms
    ENDED = "ended"  # the cloud confirmed, or never launched it


@dataclass(frozen=True, slots=True)
class MachineRecord:
    """A machine that a manager launched, from before the cloud was asked until it has ended.

    `node` names both the node and the machine; `why` says in a sentence why it is in its phase.
    `image` is the cloud's id. `term` is the leader's that launched it. `phase_at` is when it came
    to its phase, `idle_since` when the last operation left it. `ends_at` is its lease's end.
    `broken` is what its cloud says is wrong with it.
    """

    node: str
    cloud: str
    application: str
    image: str
    size: str
    phase: Phase
    why: str
    term: int
    launched_at: datetime
    phase_at: datetime
    ends_at: datetime
    handle: str | None = None
    price_per_hour: float | None = None
    ready_at: datetime | None = None
    idle_since: datetime | None = None
    ended_at: datetime | None = None
    broken: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a cloud can launch for an application.

    Args:
        application: that the image is for, and that its machines' nodes offer.
        cloud: where.
        rank: of the cloud; the lowest comes first.
        image: the cloud's id of it.
        content: the hash of what is in it, empty if nobody knows.
        size: as the inventory names it.
        hours: of the lease that a machine gets.
        slots: operations at once that a machine is expected to take.
        boot_s: seconds from launch to its first heartbeat, as expected.
        price_per_hour: None: nobody knows.
        idle_s: a machine without work ends after so long.
        warm: so many machines of the application are kept, also without work.
    """

    application: str
    cloud: str
    image: str
    size: str
    hours: float
    rank: int = 100
    content: str = ""
    slots: int = 2
    boot_s: float = 120.0
    price_per_hour: float | None = None
    idle_s: float = 600.0
    warm: int = 0


@dataclass(frozen=True, slots=True)
class CloudRoom:
    """What a cloud, or whoever pays for it, still allows.

    Args:
        cloud: its name.
        machines: most at once that the inventory allows.
        others: machines of ours there that aren't in the records (builds, machines by hand).
        spent: by machines that have ended, within the last 24 hours.
        price_per_day: most to be spent within any 24 hours; None: no limit.
        paused_until: no launch before then, because the cloud refused one or doesn't answer.
        pause: its words.
        boot_timeout_s: a machine not heard for so long after its launch has failed to boot.
        silence: why nobody knows what it offers; empty once it has said so.
    """

    cloud: str
    machines: int
    others: int = 0
    spent: float = 0.0
    price_per_day: float | None = None
    paused_until: datetime | None = None
    pause: str = ""
    boot_timeout_s: float = 600.0
    silence: str = ""


@dataclass(frozen=True, slots=True)
class Breaker:
    """Boots of one image that failed in a row; `console` is the last one's last lines.

    A boot that succeeds takes it away, and so does a `launch`, or a new version of a definition,
    of its application. A new image has none yet.
    """

    image: str
    failed_boots: int
    console: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the image isn't tried any more."""
        return self.failed_boots >= MOST_FAILED_BOOTS


@dataclass(frozen=True, slots=True)
class Seen:
    """All about machines at one moment, as store and clouds tell it.

    Args:
        now: by the clock of the records' times.
        date: by the calendar: what the ends of leases are compared with.
        term: the leader's.
        listening_s: for how long nodes could be heard without a break.
        machines: all records that haven't ended.
        offers: of the clouds that are configured; they stay while a cloud doesn't answer.
        rooms: of the same clouds.
        breakers: by cloud and image id.
        unusable: what the clouds of the inventory lack that can't be used, by name.
    """

    now: datetime
    date: datetime
    term: int = 0
    listening_s: float = 0.0
    machines: Sequence[MachineRecord] = ()
    offers: Sequence[Offer] = ()
    rooms: Sequence[CloudRoom] = ()
    breakers: Mapping[tuple[str, str], Breaker] = field(default_factory=dict)
    unusable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Launch:
    """A machine to launch as `offer` says."""

    offer: Offer
    why: str


@dataclass(frozen=True, slots=True)
class Ending:
    """A machine to drain or to terminate. `boot_failed`: its image's breaker counts it."""

    node: str
    why: str
    boot_failed: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why an operation has too few machines; `failed`: waiting alone won't help."""

    reason: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Decisions:
    """What to do about machines. All of it is in the records before the next plan is made.

    Args:
        launches: new machines; each gets a record in phase `launching`.
        ready: nodes heard for the first time: phase `ready`; their image's breaker is taken away.
        idle: `idle_since` of the nodes where it changes.
        drains: phase `draining`.
        ends: phase `ending`, at once: from any phase before it.
        waiting: operations that have too few machines.
    """

    launches: tuple[Launch, ...] = ()
    ready: tuple[str, ...] = ()
    idle: Mapping[str, datetime | None] = field(default_factory=dict)
    drains: tuple[Ending, ...] = ()
    ends: tuple[Ending, ...] = ()
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
