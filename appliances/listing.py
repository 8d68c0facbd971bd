"""What exists, where, whose, since when and until when: tables for people."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from appliances.errors import BuildError
from appliances.installing import RECORD
from provision import capabilities
from provision.entries import CloudEntry
from provision.errors import ProvisionError
from provision.images import by_age, offer
from provision.machine import APPLIANCE, ROLE, Image, Machine

Row = tuple[str, ...]

#: Who hasn't said a word by then is called silent; the question goes on for longer.
_ANSWER_S = 10.0


def clouds(entries: Iterable[tuple[str, CloudEntry]], ask: Callable[[str], None]) -> list[str]:
    """Return lines about each cloud: what it can do, what is done instead, whether it answers.

    `ask` asks the cloud of that name anything, or raises.
    """
    ordered = sorted(entries, key=lambda named: named[1].rank)
    asked = [(name, entry, _asked(name, ask)) for name, entry in ordered]
    lines = list[str]()
    for name, entry, answer in asked:
        can = ", ".join(sorted(entry.capabilities)) or "what its driver says"
        lines += [f"{name} ({entry.kind}): {answer()}", f"  can: {can}"]
        lines += [f"  {line}" for line in capabilities.explain(entry.capabilities)]
    return lines


def images(found: Iterable[Image]) -> list[str]:
    """Return a table of images."""
    head = ("IMAGE", "NAME", "APPLIANCE", "ROLE", "CREATED", "CLOUD")
    ordered = sorted(found, key=by_age)
    return table([head, *(_image(image) for image in ordered)])


def contents(file: Path) -> str:
    """Return what went into an image: what it was built from, packages with their versions.

    Raises:
        BuildError: it was built elsewhere, or by hand.
    """
    try:
        return file.read_text(encoding="utf-8").rstrip()
    except OSError:
        raise BuildError(
            f"{file.stem}: not built from this folder: a machine of it has its contents in {RECORD}"
        ) from None


def machines(found: Iterable[Machine], prices: Mapping[str, float | None]) -> list[str]:
    """Return a table of machines; `prices` are an hour's, by size, where they are known."""
    head = ("HANDLE", "NAME", "APPLIANCE", "ROLE", "STATE", "ADDRESS", "OWNER", "SINCE", "UNTIL")
    rows = (_machine(machine, prices.get(machine.size)) for machine in found)
    return table([(*head, "PRICE/H", "CLOUD"), *rows])


def table(rows: Sequence[Row]) -> list[str]:
    """Return rows as lines, their columns aligned."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(f"{c:{w}}" for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]


def _asked(name: str, ask: Callable[[str], None]) -> Callable[[], str]:
    """Begin to ask a cloud; return what waits for its answer."""
    heard = list[str]()

    def wait() -> str:
        thread.join(_ANSWER_S)
        return heard[0] if heard else f"no answer within {_ANSWER_S:g} s"

    def run() -> None:
        try:
            ask(name)
            heard.append("answers")
        except ProvisionError as error:
            heard.append(str(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return wait


def _image(image: Image) -> Row:
    appliance, role = image.tags.get(APPLIANCE), image.tags.get(ROLE, "-")
    named = offer(appliance, image) if appliance else "-"
    return (image.id, image.name, named, role, _time(image.created_at), image.cloud)


def _machine(machine: Machine, price: float | None) -> Row:
    lease = machine.lease
    return (
        machine.id,
        machine.name,
        machine.tags.get(APPLIANCE, "-"),
        machine.role or "-",
        machine.state,
        f"{machine.host or '-'}:{machine.ssh_port}",
        lease.owner if lease else "-",
        _time(machine.launched_at),
        _time(lease.ends_at if lease else None),
        "-" if price is None else f"{price:g}",
        machine.cloud,
    )


def _time(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}" if moment else "-"
