"""A Nimbus that accepts and refuses what a real one does.

Written after nimbusproject's sources (ElasticService, query.conf, cloud-client's options) and what
FutureGrid's manual shows; never compared with a real one. Its state is a folder, one JSON file for
each machine, image and key, so that both ends and many processes share it.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4


class Site:
    """The state of a Nimbus, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for kind in ("machines", "images", "keys"):
            (folder / kind).mkdir(parents=True, exist_ok=True)

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Return everything of a kind."""
        return [json.loads(p.read_text()) for p in sorted((self.folder / kind).glob("*.json"))]

    def put(self, kind: str, name: str, **what: Any) -> None:
        """Add or replace something."""
        path = self.folder / kind / f"{name}.json"
        new = path.with_suffix(f".{uuid4().hex}")
        new.write_text(json.dumps({"name": name, **what}))
        new.rename(path)

    def drop(self, kind: str, name: str) -> None:
        """Remove something."""
        (self.folder / kind / f"{name}.json").unlink(missing_ok=True)

    def launch(self, image: str, *, hours: float, **what: Any) -> dict[str, Any]:
        """Start a machine, which runs at once."""
        number = len(list((self.folder / "machines").iterdir())) + 1
        number += int(uuid4().int % 100)  # ids aren't reused soon
        address = f"127.{number >> 8 & 255}.{number & 255}.{uuid4().int % 250 + 1}"
        name = f"i-{uuid4().hex[:8]}"
        self.put(
            "machines",
            name,
            number=number,
            address=address,
            image=image,
            hours=hours,
            born=datetime.now(UTC).isoformat(),
            **what,
        )
        return next(m for m in self.all("machines") if m["name"] == name)


class RefusedError(Exception):
    """An EC2 error code, or cloud-client's last words."""
