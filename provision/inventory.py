"""The inventory: clouds and appliances of `inventory/*.yaml`. Every problem is named at once."""

import difflib
import getpass
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from provision.entries import (
    KINDS,
    ApplianceEntry,
    CloudEntry,
    Defaults,
    ImageQuery,
    Limits,
    Ssh,
)
from provision.errors import InventoryError

_SECTIONS = ("defaults", "clouds", "appliances")


class Inventory(BaseModel):
    """All that the files say, checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    defaults: Defaults = Defaults()
    clouds: dict[str, CloudEntry] = Field(default_factory=dict)
    appliances: dict[str, ApplianceEntry] = Field(default_factory=dict)

    def cloud(self, name: str | None = None) -> tuple[str, CloudEntry]:
        """Return a cloud's name and entry; the default cloud's for None.

        Raises:
            InventoryError: there is no such cloud; names those that there are.
        """
        wanted = name or self.defaults.cloud
        if wanted not in self.clouds:
            raise InventoryError([_unknown("cloud", wanted, self.clouds)])
        return wanted, self.clouds[wanted]

    def appliance(self, name: str) -> ApplianceEntry:
        """Return what the inventory says of an appliance; defaults for one it doesn't name."""
        return self.appliances.get(name, ApplianceEntry())

    @property
    def owner(self) -> str:
        """Whose machines and images ours are, in tags: by default this user on this host."""
        if self.defaults.owner:
            return self.defaults.owner
        return re.sub(r"[^A-Za-z0-9._-]", "-", f"{getpass.getuser()}-{socket.gethostname()}")[:63]


def load(folder: Path) -> Inventory:
    """Read every `*.yaml` in `folder`.

    Raises:
        InventoryError: no folder, or files with problems; each is a line with file and key.
    """
    if not folder.is_dir():
        raise InventoryError(
            [f"{folder}: no such folder; set STREAMBOSS_INVENTORY to your inventory"]
        )
    problems = list[str]()
    merged: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    origins = dict[tuple[str, str], Path]()
    for path in sorted(folder.glob("*.yaml")):
        for section, key, value in _items(path, problems):
            if (section, key) in origins:
                problems.append(f"{path}: {section}: {key} is in {origins[section, key]}, too")
            origins[section, key] = path
            merged[section][key] = value
    return _checked(merged, origins, folder, problems)


def _items(path: Path, problems: list[str]) -> Iterator[tuple[str, str, Any]]:
    """Yield section, key and value of one file; what isn't of that shape is a problem."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:  # dates, nesting
        problems.append(f"{path}: {' '.join(str(error).split())}")
        return
    if not isinstance(raw, Mapping):
        problems.append(f"{path}: must hold the keys {', '.join(_SECTIONS)}")
        return
    for section, entries in raw.items():
        if section not in _SECTIONS:
            problems.append(f"{path}: {_unknown('key', str(section), _SECTIONS)}")
        elif not isinstance(entries, Mapping):
            problems.append(f"{path}: {section}: must be keys with values")
        else:
            yield from ((section, str(key), value) for key, value in entries.items())


def _checked(
    merged: dict[str, dict[str, Any]],
    origins: Mapping[tuple[str, str], Path],
    folder: Path,
    problems: list[str],
) -> Inventory:
    try:
        inventory = Inventory.model_validate(merged, context={"folder": folder})
    except ValidationError as error:
        for detail in error.errors():
            where = origins.get((str(detail["loc"][0]), str(detail["loc"][1])), folder)
            problems.append(f"{where}: {_line(detail, merged)}")
    else:
        problems += [f"{folder}: {text}" for text in _contradictions(inventory)]
    if problems:
        raise InventoryError(problems)
    return inventory


def _contradictions(inventory: Inventory) -> Iterator[str]:
    """Yield what no single entry can see."""
    clouds, default = inventory.clouds, inventory.defaults.cloud
    if clouds and default not in clouds:
        yield f"defaults: cloud: {_unknown('cloud', default, clouds)}"
    for name, entry in clouds.items():
        for text in _own_contradictions(entry, inventory.defaults.hours):
            yield f"clouds: {name}: {text}"
    for name, appliance in inventory.appliances.items():
        for cloud in appliance.images:
            if cloud not in clouds:
                yield f"appliances: {name}: images: {_unknown('cloud', cloud, clouds)}"


def _own_contradictions(entry: CloudEntry, default_hours: float) -> Iterator[str]:
    hours = entry.hours or default_hours
    if hours > entry.limits.hours:
        yield (f"leases of {hours:g} hours by default, but limits: hours is {entry.limits.hours:g}")
    for size in entry.prices:
        if entry.sizes and size not in (*entry.sizes, *entry.sizes.values()):
            yield f"prices: {_unknown('size', size, entry.sizes)}"


def _line(detail: ErrorDetails, merged: Mapping[str, Mapping[str, Any]]) -> str:
    """Return one of pydantic's errors as people read it."""
    section, name, *rest = (str(part) for part in detail["loc"])
    entry = merged[section].get(name)
    if section == "clouds" and rest and isinstance(entry, Mapping) and rest[0] == entry.get("kind"):
        rest = rest[1:]  # pydantic names the model of the union; a person knows its kind
    place = ": ".join([section, name, *rest])
    if detail["type"] == "extra_forbidden":
        return f"{place}: unknown key{_hint(rest[-1], _known(section, entry))}"
    if detail["type"] == "union_tag_not_found":
        return f"{place}: kind is missing; one of {', '.join(KINDS)}"
    if detail["type"] == "union_tag_invalid":
        return f"{place}: {_unknown('kind', detail['ctx']['tag'], KINDS)}"
    return f"{place}: {detail['msg'].removeprefix('Value error, ')}"


def _known(section: str, entry: Any) -> list[str]:
    """Return the keys that could have been meant."""
    if section == "appliances":
        return list(ApplianceEntry.model_fields)
    if section == "defaults":
        return list(Defaults.model_fields)
    model = KINDS.get(str(entry.get("kind")))
    nested = [*Limits.model_fields, *Ssh.model_fields, *ImageQuery.model_fields]
    return [*model.model_fields, *nested] if model else []


def _unknown(what: str, name: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    names = ", ".join(known) or "none"
    return f"unknown {what} {name!r}; there are: {names}"


def _hint(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
