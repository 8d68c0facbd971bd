"""The ground that a cloud's workers stand on: the cloud itself, opened when it is first needed."""

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from provision import desk
from provision.entries import CloudEntry, LocalEntry
from provision.errors import ProvisionError, SecretError
from provision.inventory import Inventory
from provision.secrets import Secrets
from provision.site import Site
from streams.errors import SettingsError

#: A journal is read whole at each listing: so it is begun anew when it has become old.
_JOURNAL_S = 3600.0


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the manager works: inventory, secrets, and the folder beside which it remembers."""

    inventory: Inventory
    env: Mapping[str, str] = field(repr=False)
    folder: Path

    @property
    def secrets(self) -> Secrets:
        """Where secrets are looked up."""
        return desk.secrets_at(self.env, self.folder)

    def clouds(self) -> list[str]:
        """Return the clouds that could answer: their credentials are here, or podman is."""
        return [name for name in self.inventory.clouds if name not in self.unusable()]

    def unusable(self) -> dict[str, str]:
        """Return what the other clouds of the inventory lack, by name."""
        lacks = {name: self._lacks(entry) for name, entry in self.inventory.clouds.items()}
        return {name: text for name, text in lacks.items() if text}

    def _lacks(self, entry: CloudEntry) -> str:
        if isinstance(entry, LocalEntry):
            return "" if shutil.which("podman") else "podman isn't installed"
        if entry.credentials is None:
            return ""
        try:
            found = self.secrets.find(f"{entry.credentials}-key")
        except SecretError as error:
            return str(error)
        return "" if found is not None else f"the manager has no secret {entry.credentials}-key"


def desk_at(env: Mapping[str, str], folder: Path) -> Desk | None:
    """Return the desk of a manager that works in `folder`; None where there is no inventory.

    Raises:
        SettingsError: the inventory has problems; a line for each.
    """
    if not env.get("STREAMBOSS_INVENTORY") and not desk.has_inventory(folder):
        return None
    try:
        return Desk(desk.find_inventory(env, folder), env, folder)
    except ProvisionError as error:
        raise SettingsError(str(error)) from None


class Ground:
    """One cloud, opened by the first worker that needs it and shared by all."""

    def __init__(self, work: Desk, name: str) -> None:
        self._desk, self.name = work, name
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._site: Site | None = None
        self._opened_s = 0.0

    def site(self) -> Site:
        """Return the cloud; what a crash left open in the journal is settled first.

        Raises:
            ProvisionError: it can't be opened.
        """
        with self._lock:
            if self._site is None:
                place = self._desk
                opened = desk.opened(self.name, env=place.env, folder=place.folder)
                cloud = self._stack.enter_context(opened)
                self._site = Site(cloud, place.inventory, place.secrets)
                self._opened_s = time.monotonic()
            return self._site

    def refresh(self, is_idle: Callable[[], bool]) -> None:
        """Begin a new journal, if this one is old and nobody is at work."""
        if self._site and time.monotonic() - self._opened_s > _JOURNAL_S and is_idle():
            self.close()

    def close(self) -> None:
        """Let go of the cloud; the next worker opens it again."""
        with self._lock:
            self._site = None
            self._stack.close()
