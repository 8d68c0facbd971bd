"""Images: made from machines, and removed with all that they stand on."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from provision.account import Account
from provision.attempts import Thing
from provision.capabilities import Capability
from provision.classify import classify
from provision.creating import Creator
from provision.errors import Kind, ProvisionError
from provision.journal import Journal
from provision.machine import ATTEMPT, BASE, OWNER, ROLE, RUN, SOURCE, Image, Machine, Role
from provision.views import token
from provision.watching import Watch


class Images:
    """What is done to one account's images."""

    def __init__(
        self, account: Account, journal: Journal, *, creator: Creator, watch: Watch
    ) -> None:
        self._account, self._journal = account, journal
        self._creator, self._watch = creator, watch

    def check_free(self, name: str) -> None:
        """Refuse a name that is taken: nobody's image is ever overwritten.

        Raises:
            ProvisionError: it is taken.
        """
        if any(image.name == name for image in self._account.images()):
            raise ProvisionError(
                f"{self._account.name}: there is an image {name!r} already; choose another name,"
                " or delete that one first"
            )

    def save(
        self,
        machine: Machine,
        name: str,
        tags: Mapping[str, str],
        *,
        role: Role,
        timeout_s: float,
    ) -> Image:
        """Make an image of a machine that has stopped, where machines can; wait until it is there.

        Raises:
            ProvisionError: the cloud can't or won't.
            WaitTimeoutError: it isn't there in time, but may still come.
        """
        more = {
            **tags,
            OWNER: self._account.owner,
            RUN: self._journal.run,
            BASE: machine.image,
            SOURCE: machine.id,
            ROLE: role,
        }
        attempt = self._journal.intend(Thing.IMAGE, self._account.name, name, more)
        more[ATTEMPT] = attempt
        image = self._creator.create(
            attempt,
            f"save {machine.id} as {name}",
            lambda: self._make(machine, name, attempt, more),
            lambda: self._by_attempt(attempt, name),
            idempotent=False,
        )
        self._journal.done(attempt, image.id)
        return self._watch.available(image, timeout_s)

    def delete(self, image: Image) -> None:
        """Delete an image and the snapshots that it stands on. Its end is in the journal first.

        Raises:
            ProvisionError: the cloud refuses.
        """
        attempt = image.tags.get(ATTEMPT) or f"image-{image.id}"
        self._journal.adopt(attempt, Thing.IMAGE, self._account.name, image)
        self._journal.removing(attempt, image.parts)
        self.finish_deleting(attempt, image.id, image.parts)

    def finish_deleting(self, attempt: str, image_id: str, parts: tuple[str, ...]) -> None:
        """Delete what is still there of an image; done twice, it does nothing."""
        there = next((i for i in self._account.images() if i.id == image_id), None)
        if there is not None:
            self._gone("delete_image", self._account.node_image(there))
            self._watch.image_gone(image_id)
        for part in parts:
            self._gone("ex_delete_part", part)
        self._journal.undone(attempt)

    def tag(self, image: Image, tags: Mapping[str, str]) -> Image:
        """Add to or replace tags of an image; in the journal too, for clouds that keep none."""
        self._journal.changed(image.tags.get(ATTEMPT, ""), tags)
        if Capability.RETAG in self._account.can:
            target = self._account.node_image(image)
            self._account.repeat(
                f"tag {image.id}",
                lambda: self._account.driver.ex_create_tags(target, dict(tags)),
            )
        return replace(image, tags={**image.tags, **tags})

    def _make(self, machine: Machine, name: str, attempt: str, tags: Mapping[str, str]) -> Image:
        keywords: dict[str, Any] = {"description": token(self._account.owner, attempt)}
        if Capability.TAGS in self._account.can:
            keywords["ex_metadata"] = dict(tags)
        made = self._account.driver.create_image(self._account.node(machine), name, **keywords)
        return Image(self._account.name, str(made.id), name, available=False, tags=tags)

    def _by_attempt(self, attempt: str, name: str) -> Image | None:
        """Return what a call without an answer made. Names are free before, and so are enough."""
        for image in self._account.images():
            if image.tags.get(ATTEMPT) == attempt or image.name == name:
                return image
        return None

    def _gone(self, method: str, target: Any) -> None:
        def call() -> None:
            try:
                getattr(self._account.driver, method)(target)
            except Exception as error:
                if classify(error) is not Kind.GONE:
                    raise

        self._account.repeat(f"{method.removeprefix('ex_')} {getattr(target, 'id', target)}", call)
