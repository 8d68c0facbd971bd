"""`agent.json`: who this node is, and how it reaches the broker."""

import json
import logging
import os
import stat
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from streams.control import ANY_APPLICATION
from streams.definition import problem
from streams.errors import SettingsError
from streams.names import name_problem

log = logging.getLogger(__name__)

#: Operations at once where the file doesn't say: an appliance's share (architecture, Demand).
_SLOTS = 2 * (os.cpu_count() or 1)
_READABLE_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH


class AgentConfig(BaseModel):
    """A node's configuration. The broker addresses hold its password and don't show in a repr."""

    # A newer manager may write fields that we don't know yet: `load` warns of them.
    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    amqp_urls: Annotated[tuple[str, ...], Field(min_length=1)] = Field(repr=False)
    offers: Annotated[tuple[str, ...], Field(min_length=1)] = (ANY_APPLICATION,)
    slots: Annotated[int, Field(ge=1, le=10_000)] = _SLOTS
    scratch: Path | None = None
    #: the broker's CA, in PEM; without it those of the system count
    ca: str | None = None
    #: where this machine reaches what its manager reaches on its own loopback
    services_host: str | None = None

    @field_validator("name")
    @classmethod
    def _legal(cls, value: str) -> str:
        if wrong := name_problem("node", value):
            raise ValueError(wrong)
        return value

    @field_validator("amqp_urls")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # never the address itself: it holds the password
        if not all(_is_amqp(url) for url in value):
            raise ValueError("each must look like amqp://user:password@host:5672/vhost")
        return value

    @field_validator("scratch")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_absolute():
            raise ValueError("must be an absolute path")
        return value

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check the file; warn when others may read the password in it.

        Raises:
            SettingsError: no such file, not JSON, or problems; names every one at once.
        """
        raw = _read_object(path)
        try:
            config = cls.model_validate(raw)
        except ValidationError as error:
            problems = "; ".join(problem(item) for item in error.errors(include_input=False))
            raise SettingsError(f"{path}: {problems}") from None
        for name in sorted(set(raw) - set(cls.model_fields)):
            log.warning("%s: %s: unknown field, ignored", path, name)
        if path.stat().st_mode & _READABLE_BY_OTHERS:
            log.warning("%s: others may read the broker password in it: chmod 600 %s", path, path)
        return config


def _read_object(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_bytes())
    except OSError as error:
        raise SettingsError(
            f"{path}: {error.strerror}: 'streamboss node add NAME' makes one"
        ) from None
    except ValueError as error:
        raise SettingsError(f"{path}: not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise SettingsError(f"{path}: must hold a JSON object")
    return raw


def _is_amqp(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"amqp", "amqps"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
