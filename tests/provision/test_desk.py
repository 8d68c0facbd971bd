"""A folder of a person's own: inventory, secrets and journal are found, crashes settled first."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from provision.attempts import Thing
from provision.desk import find_inventory, opened, state_folder
from provision.errors import InventoryError, ProvisionError
from provision.garbage import inventory_uses
from provision.journal import Journal

CLOUD = """
defaults: {cloud: c, owner: us}
clouds: {c: {kind: libcloud, driver: %s, arguments: {creds: "0"}}}
"""


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with an inventory, and one below it."""
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "clouds.yaml").write_text(CLOUD % "dummy")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    return below


def test_inventory_and_state_are_found_from_below(desk: Path) -> None:
    assert list(find_inventory({}, desk).clouds) == ["c"]
    (desk.parent / ".streamboss").mkdir()
    assert state_folder(desk) == desk.parent / ".streamboss"


def test_an_inventory_can_be_named(desk: Path, tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="nowhere: no such folder"):
        find_inventory({"STREAMBOSS_INVENTORY": str(tmp_path / "nowhere")}, desk)


def test_what_a_crash_left_is_settled_when_a_cloud_is_opened(
    desk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = state_folder(desk) / "clouds" / "journal"
    with Journal(folder, "crashed") as crashed:
        crashed.intend(Thing.MACHINE, "c", "m", {})
    record = folder / "crashed.jsonl"
    record.write_text(re.sub(r'"t": "\d+', '"t": "2020', record.read_text()))
    with caplog.at_level(logging.WARNING), opened(None, env={}, folder=desk) as cloud:
        assert cloud.journal.attempts() == {}
    assert "machine m: close: it never came to be" in caplog.text


def test_a_clouds_trouble_with_old_things_doesnt_keep_a_command_from_its_work(
    desk: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "inventory" / "clouds.yaml").write_text(CLOUD % "nonesuch")
    with Journal(state_folder(desk) / "clouds" / "journal", "crashed") as crashed:
        crashed.intend(Thing.MACHINE, "c", "m", {})
    with opened("c", env={}, folder=desk) as cloud, pytest.raises(ProvisionError):
        cloud.check()
    assert "not settled yet" in caplog.text


def test_the_inventory_protects_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        "defaults: {cloud: c}\nclouds: {c: {kind: local, images: {debian: debian-12}}}\n"
        "appliances: {stream-agent: {}, other: {images: {c: ami-1}}}\n"
    )
    known: Any = find_inventory({"STREAMBOSS_INVENTORY": str(tmp_path)}, tmp_path)
    assert set(inventory_uses(known, "c")) == {"stream-agent", "other", "debian-12", "ami-1"}
