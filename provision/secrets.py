"""Secrets by name: from the environment, a file that only its owner reads, or a keyring."""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from provision.errors import SecretError

#: Service under which a keyring holds them.
KEYRING_SERVICE = "streamboss"
_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Secrets:
    """Where secrets are looked up, in this order: `env`, `files`, the keyring if installed.

    A file has a line `NAME=VALUE` for each; one that others can read is refused, so that nobody
    goes on with an open secret unawares.
    """

    env: Mapping[str, str] = field(repr=False)
    files: tuple[Path, ...] = ()

    def find(self, name: str) -> str | None:
        """Return the secret called `name`, or None.

        Raises:
            SecretError: a file of secrets lies open to others.
        """
        value = self.env.get(variable(name))
        for path in self.files:
            value = value or _in_file(path).get(name)
        return value or _in_keyring(name)

    def need(self, name: str) -> str:
        """Return the secret called `name`.

        Raises:
            SecretError: there is none (says where to put it), or a file lies open to others.
        """
        value = self.find(name)
        if value is None:
            places = [f"set {variable(name)}"]
            if self.files:
                places.append(f"write {name}=... into {self.files[0]} (mode 0600)")
            raise SecretError(f"no secret {name!r}: {', or '.join(places)}")
        return value


def variable(name: str) -> str:
    """Return the environment variable that holds the secret `name`."""
    return "STREAMBOSS_SECRET_" + re.sub(r"[^A-Za-z0-9]", "_", name).upper()


def _in_file(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & _OPEN_TO_OTHERS:
                raise SecretError(f"{path}: others can read it; chmod 600 {path}")
            lines = file.read().splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SecretError(f"{path}: {error.strerror}") from None
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith("#"))
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def _in_keyring(name: str) -> str | None:
    try:
        keyring = import_module("keyring")  # only where somebody installed it
    except ImportError:
        return None
    try:
        value: str | None = keyring.get_password(KEYRING_SERVICE, name)
    except Exception:  # noqa: BLE001 a locked or missing backend is no secret found
        return None
    return value
