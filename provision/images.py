"""Which image is meant: by id, by name, by an alias of the inventory, or the newest that fits."""

from collections.abc import Iterable
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from provision.entries import ImageQuery
from provision.errors import Kind, ProvisionError
from provision.machine import APPLIANCE, HASH, ROLE, Image, Role

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def by_age(image: Image) -> datetime:
    """Return when an image was made, for sorting; long ago where the cloud doesn't tell."""
    return image.created_at or _LONG_AGO


def newest(images: Iterable[Image], query: ImageQuery) -> Image | None:
    """Return the newest available image whose name fits `query`."""
    fitting = [i for i in images if i.available and fnmatchcase(i.name, query.name)]
    return max(fitting, key=by_age, default=None)


def all_of_appliance(images: Iterable[Image], wanted: str) -> list[Image]:
    """Return the promoted images of an appliance, the newest first.

    `wanted` may be pinned to an image, as in definitions: `NAME@` and its hash's first digits.
    """
    appliance, _, pin = wanted.partition("@")
    promoted = [i for i in images if i.available and i.tags.get(ROLE) == Role.IMAGE]
    fitting = [image for image in promoted if image.tags.get(APPLIANCE) == appliance]
    pinned = [image for image in fitting if image.tags.get(HASH, "").startswith(pin)]
    return sorted(pinned, key=by_age, reverse=True)


def of_appliance(images: Iterable[Image], wanted: str) -> Image | None:
    """Return the newest promoted image of an appliance, as `all_of_appliance` finds it."""
    return next(iter(all_of_appliance(images, wanted)), None)


def offer(appliance: str, image: Image) -> str:
    """Return what nodes of an appliance's image offer: also a definition that is pinned to it."""
    content = image.tags.get(HASH)
    return f"{appliance}@{content}" if content else appliance


def named(images: Iterable[Image], wanted: str) -> Image | None:
    """Return the image with this id, or the newest available one of this name, promoted first."""
    candidates = [image for image in images if wanted in (image.id, image.name)]
    exact = [image for image in candidates if image.id == wanted]
    usable = [image for image in candidates if image.available]
    promoted = [image for image in usable if image.tags.get(ROLE, Role.IMAGE) == Role.IMAGE]
    return max(exact or promoted or usable, key=by_age, default=None)


def missing(cloud: str, wanted: str, images: Iterable[Image]) -> ProvisionError:
    """Return the error for an image that isn't there."""
    names = sorted({image.name for image in images})[:10]
    there = f"; there are: {', '.join(names)}" if names else ""
    return ProvisionError(f"{cloud}: no image {wanted!r}{there}", Kind.GONE)
