"""Clouds and images as people are shown them: what is launched where, and what fails. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from manager.machines.model import Breaker, MachineRecord, Offer, Phase
from manager.machines.money import DAY, cost
from manager.model import Operation
from provision.entries import CloudEntry
from provision.machine import APPLIANCE, BASE, HASH, ROLE, Image
from streams.application import is_offered


@dataclass(frozen=True, slots=True)
class Failure:
    """What failed on a cloud the last time, and until when it isn't tried again."""

    job: str
    words: str
    until: datetime


@dataclass(frozen=True, slots=True)
class CloudSight:
    """What one manager knows of a cloud by having asked it; `seen_at` is None before it answered.

    `paused_until`: no launch before then, because one was refused with the words `pause`.
    """

    others: int = 0
    seen_at: datetime | None = None
    offers: Sequence[Offer] = ()
    images: Sequence[Image] = ()
    failures: Sequence[Failure] = ()
    paused_until: datetime | None = None
    pause: str = ""


@dataclass(frozen=True, slots=True)
class CloudView:
    """A cloud of the inventory.

    `sight` is None where its credentials aren't here. `others` in it are machines of ours that the
    manager didn't launch.
    """

    name: str
    entry: CloudEntry
    sight: CloudSight | None
    machines: Sequence[MachineRecord] = ()
    spent: float = 0.0
    breakers: Mapping[str, Breaker] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """How it is, in a word."""
        if self.sight is None:
            return "unused"
        if self.sight.failures:
            return "failing"
        if self.sight.paused_until:
            return "paused"
        return "waiting" if self.sight.seen_at is None else "answers"


@dataclass(frozen=True, slots=True)
class ImageView:
    """An image, and who uses it; `current`: new machines for its appliance get it."""

    image: Image
    base: Image | None
    current: bool
    operations: Sequence[str] = ()
    definitions: Sequence[str] = ()
    machines: Sequence[str] = ()
    breaker: Breaker | None = None

    @property
    def appliance(self) -> str:
        """What it is for."""
        return self.image.tags.get(APPLIANCE, "")

    @property
    def content(self) -> str:
        """The hash of its recipe's content."""
        return self.image.tags.get(HASH, "")

    @property
    def base_name(self) -> str:
        """What it was made from: its name, or its id where it isn't there any more."""
        return self.base.name if self.base else self.image.tags.get(BASE, "")

    @property
    def state(self) -> str:
        """How far it is, in a word."""
        if self.image.failed:
            return "failed"
        if self.breaker and self.breaker.is_open:
            return "refused"
        return "current" if self.current else self.image.tags.get(ROLE, "image")


def cloud_view(
    name: str,
    entry: CloudEntry,
    sight: CloudSight | None,
    *,
    known: Iterable[MachineRecord],
    breakers: Mapping[tuple[str, str], Breaker],
    now: datetime,
) -> CloudView:
    """Put together what is known of a cloud.

    `known`: machines, also those that ended within 24 hours.
    """
    here = [record for record in known if record.cloud == name]
    return CloudView(
        name,
        entry,
        sight,
        machines=[record for record in here if record.phase is not Phase.ENDED],
        spent=sum(
            cost(record, since=now - DAY, now=now)
            for record in here
            if record.handle or not record.ended_at
        ),
        breakers={image: found for (cloud, image), found in breakers.items() if cloud == name},
    )


def image_views(
    clouds: Iterable[CloudView],
    operations: Sequence[Operation],
    applications: Mapping[str, str],
) -> list[ImageView]:
    """Return the images of all clouds with who uses them, the newest first.

    `applications`: of process definitions, by what they are called.
    """
    found = [_view(cloud, image, operations, applications) for cloud, image in _images(clouds)]
    return sorted(found, key=lambda v: (-_age(v.image), v.image.cloud, v.image.name))


def _images(clouds: Iterable[CloudView]) -> list[tuple[CloudView, Image]]:
    return [(c, image) for c in clouds if c.sight for image in c.sight.images]


def _view(
    cloud: CloudView,
    image: Image,
    operations: Sequence[Operation],
    applications: Mapping[str, str],
) -> ImageView:
    sight = cloud.sight or CloudSight()
    offer = next((o for o in sight.offers if o.image == image.id), None)
    appliance, content = image.tags.get(APPLIANCE, ""), image.tags.get(HASH, "")
    name = offer.application if offer else appliance
    base = image.tags.get(BASE)

    def used_by(application: str) -> bool:
        pinned = "@" in application and is_offered(application, f"{name}@{content}")
        return pinned or (offer is not None and application == offer.application)

    return ImageView(
        image,
        next((other for other in sight.images if other.id == base), None),
        offer is not None,
        [o.name for o in operations if used_by(o.definition.application)],
        [title for title, application in applications.items() if used_by(application)],
        [record.node for record in cloud.machines if record.image == image.id],
        cloud.breakers.get(image.id),
    )


def _age(image: Image) -> float:
    return image.created_at.timestamp() if image.created_at else 0.0
