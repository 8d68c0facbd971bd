"""What the inventory's files may say, and how it is told what is wrong with them."""

from pathlib import Path

import pytest

from provision import inventory
from provision.capabilities import Capability, explain
from provision.entries import ImageQuery, NimbusEntry
from provision.errors import InventoryError

SHIPPED = Path(__file__).resolve().parents[2] / "inventory"


def _problems(folder: Path, text: str) -> list[str]:
    (folder / "a.yaml").write_text(text)
    with pytest.raises(InventoryError) as caught:
        inventory.load(folder)
    return [line.removeprefix(f"{folder}/") for line in caught.value.problems]


def test_the_shipped_inventory_is_sound_and_local_is_its_default() -> None:
    shipped = inventory.load(SHIPPED)
    assert shipped.cloud()[0] == "local"
    assert {"hotel", "alamo", "foxtrot"} < set(shipped.clouds)
    name, hotel = shipped.cloud("hotel")
    assert isinstance(hotel, NimbusEntry)
    assert (name, hotel.host, hotel.port) == ("hotel", "svc.uc.futuregrid.org", 8444)
    assert shipped.owner
    assert shipped.appliance("stream-manager").hours == 744


def test_every_problem_is_named_at_once_with_file_and_key(tmp_path: Path) -> None:
    problems = _problems(
        tmp_path,
        """
clouds:
  a: {kind: nimbus, hots: x}
  b: {kind: frob}
  c: {host: x}
  d: {kind: ec2, host: "http://x", limits: {hourz: 3}}
  e: 3
foo: 1
appliances: {x: {siz: 3}}
""",
    )
    assert "a.yaml: clouds: a: host: Field required" in problems
    assert "a.yaml: clouds: a: hots: unknown key; did you mean 'host'?" in problems
    assert "a.yaml: clouds: d: limits: hourz: unknown key; did you mean 'hours'?" in problems
    assert "a.yaml: appliances: x: siz: unknown key; did you mean 'size'?" in problems
    assert any(
        p.startswith("a.yaml: clouds: b: unknown kind 'frob'; there are: ") for p in problems
    )
    assert any(p.startswith("a.yaml: clouds: c: kind is missing") for p in problems)
    assert any(p.startswith("a.yaml: clouds: d: host: a host name or address") for p in problems)
    assert any(p.startswith("a.yaml: clouds: e: ") for p in problems)
    assert any(p.startswith("a.yaml: unknown key 'foo'") for p in problems)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "defaults: {cloud: mars}\nclouds: {a: {kind: local}}",
            "unknown cloud 'mars'; there are: a",
        ),
        (
            "defaults: {cloud: a}\nclouds: {a: {kind: local, hours: 48, limits: {hours: 24}}}",
            "a: leases of 48 hours by default, but limits: hours is 24",
        ),
        (
            "defaults: {cloud: a}\nclouds: {a: {kind: local}}\nappliances: {x: {images: {b: y}}}",
            "appliances: x: images: unknown cloud 'b'; there are: a",
        ),
        (
            "clouds: {local: {kind: local, sizes: {small: s1}, prices: {s1: 0.1, smal: 0.02}}}",
            "clouds: local: prices: unknown size 'smal'; there are: small",
        ),
        (
            "defaults: {cloud: a}\nclouds: {a: {kind: local, limits: {price_per_day: -1}}}",
            "clouds: a: limits: price_per_day: Input should be greater than or equal to 0",
        ),
        ("appliances: {a: {warn: 1}}", "appliances: a: warn: unknown key; did you mean 'warm'?"),
        ("clouds: [1]", "clouds: must be keys with values"),
        ("- 1", "must hold the keys"),
        ("clouds: {a: [", "expected"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    assert any(problem in line for line in _problems(tmp_path, text))


def test_a_cloud_in_two_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("clouds: {local: {kind: local}}")
    (problem,) = _problems(tmp_path, "clouds: {local: {kind: local}}")
    assert problem.startswith("b.yaml: clouds: local is in ")


def test_an_unknown_cloud_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(InventoryError, match="unknown cloud 'hotl'; there are: local, hotel"):
        inventory.load(SHIPPED).cloud("hotl")


def test_a_missing_folder_says_how_to_name_another(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="STREAMBOSS_INVENTORY"):
        inventory.load(tmp_path / "nowhere")


def test_paths_are_relative_to_the_inventory(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "defaults: {cloud: a}\n"
        "clouds: {a: {kind: nimbus, host: h, cloud_client: cc/bin/cloud-client.sh, ca_file: /ca}}"
    )
    entry = inventory.load(tmp_path).cloud()[1]
    assert isinstance(entry, NimbusEntry)
    assert entry.cloud_client == tmp_path / "cc/bin/cloud-client.sh"
    assert entry.ca_file == Path("/ca")


def test_images_are_names_or_queries() -> None:
    shipped = inventory.load(SHIPPED)
    query = shipped.clouds["ec2-example"].images["debian"]
    assert isinstance(query, ImageQuery)
    assert query.owner == "136693071363"
    assert shipped.clouds["hotel"].images["debian"] == "debian-7.gz"


def test_what_a_cloud_lacks_is_said_with_what_is_done_instead() -> None:
    bare = NimbusEntry(kind="nimbus", host="h")
    assert Capability.SNAPSHOT not in bare.capabilities
    assert "no snapshot: machines can't be saved as images here" in explain(bare.capabilities)
    client = NimbusEntry(kind="nimbus", host="h", cloud_client=Path("/c"))
    assert {Capability.SNAPSHOT, Capability.LEASE} < client.capabilities
    assert explain(frozenset(Capability)) == []
    assert "no retag: machines keep the lease that they were launched with" in explain(
        client.capabilities
    )


@pytest.mark.parametrize("odd", ["defaults: 2026-13-45", "[" * 5000, "clouds: \x00"])
def test_what_yaml_stumbles_over_is_one_line(tmp_path: Path, odd: str) -> None:
    (line,) = _problems(tmp_path, odd)
    assert line.startswith("a.yaml: ")
    assert "\n" not in line
