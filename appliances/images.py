"""Which image stands for an appliance on a cloud."""

import itertools

from appliances.recipe import Recipe
from provision.cloud import Cloud
from provision.errors import Kind, ProvisionError
from provision.images import by_age
from provision.machine import APPLIANCE, ATTEMPT, HASH, ROLE, Image, Role


def base_of(cloud: Cloud, recipe: Recipe) -> Image:
    """Return the image that a recipe starts from.

    Raises:
        ProvisionError: there is none; says how to get one.
    """
    if isinstance(recipe.base, str):
        return of_appliance(cloud, recipe.base)
    return cloud.account.find_image(recipe.base.image)


def of_appliance(cloud: Cloud, name: str) -> Image:
    """Return an appliance's image: what the inventory names, else the newest promoted one of ours.

    Raises:
        ProvisionError: there is none; says how to get one.
    """
    try:
        return cloud.account.find_image(name)
    except ProvisionError as error:
        if error.kind is not Kind.GONE:
            raise
        hint = f"'fab build_appliance --name {name}' makes one"
        hint = "'fab images' shows those that there are" if "@" in name else hint
        raise ProvisionError(f"{error}; {hint}") from error


def by_hash(cloud: Cloud, appliance: str, content: str) -> tuple[Image | None, Image | None]:
    """Return the promoted image with this content, and one saved but not yet tried.

    What another command is just about to try is its own.
    """
    same = [
        i
        for i in own(cloud)
        if (i.tags.get(APPLIANCE), i.tags.get(HASH)) == (appliance, content) and i.available
    ]
    same.sort(key=by_age, reverse=True)
    tried = next((i for i in same if _promoted(i)), None)
    attempts = cloud.journal.attempts()
    others = {a.id for a in attempts.values() if a.live and a.run != cloud.journal.run}
    candidates = (i for i in same if i.tags.get(ROLE) == Role.CANDIDATE)
    untried = next((i for i in candidates if i.tags.get(ATTEMPT) not in others), None)
    return tried, untried


def own(cloud: Cloud) -> list[Image]:
    """Return our own images of a cloud."""
    return [image for image in cloud.account.images() if cloud.account.ours(image)]


def free_name(cloud: Cloud, wanted: str) -> str:
    """Return `wanted`, or with a number behind it, so that no image has that name yet."""
    taken = {image.name for image in cloud.account.images()}
    names = (f"{wanted}-{number}" for number in itertools.count(2))
    return wanted if wanted not in taken else next(name for name in names if name not in taken)


def _promoted(image: Image) -> bool:
    return image.available and image.tags.get(ROLE) == Role.IMAGE
