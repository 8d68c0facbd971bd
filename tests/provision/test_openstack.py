"""OpenStack's interface by libcloud's driver, against a small OpenStack of our own."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from provision.cloud import Cloud
from provision.errors import Kind, ProvisionError
from provision.garbage import collect
from provision.inventory import Inventory
from provision.journal import Journal
from provision.machine import OWNER, PORTS, ROLE, Role, State
from provision.recovery import recover
from provision.secrets import Secrets
from tests.provision.baking import KEY
from tests.provision.openstack_site import PASSWORD, OpenStack


@pytest.fixture
def site() -> Iterator[OpenStack]:
    """An OpenStack with one image."""
    openstack = OpenStack()
    openstack.start()
    yield openstack
    openstack.stop()


def _cloud(site: OpenStack, journal: Journal, *, password: str = PASSWORD, **more: Any) -> Cloud:
    entry = {
        "kind": "openstack",
        "auth_url": site.url,
        "project": "streams",
        "region": "RegionOne",
        "networks": ["private"],
        "images": {"debian": {"name": "debian-12*"}},
        "sizes": {"small": "m1.small"},
        "limits": {"hours": 744, "calls_per_s": 1000},
        "ssh": {"cidr": "10.0.0.0/8"},
    } | more
    inventory = Inventory.model_validate(
        {"defaults": {"cloud": "jet", "owner": "us"}, "clouds": {"jet": entry}}
    )
    secrets = Secrets({"STREAMBOSS_SECRET_JET_KEY": "us", "STREAMBOSS_SECRET_JET_SECRET": password})
    cloud = Cloud.open(inventory, None, journal=journal, secrets=secrets)
    return Cloud(cloud.account, journal, grace_s=0.5, interval_s=0.02)


def test_from_launch_to_saved_image_to_nothing_left(site: OpenStack, journal: Journal) -> None:
    cloud = _cloud(site, journal)
    machine = cloud.wait_ready(
        cloud.launch("debian", name="agent", hours=744, user_data="#!/bin/sh\n", public_key=KEY)
    )
    assert (machine.host, machine.state) == ("10.1.2.3", State.RUNNING)
    assert machine.lease is not None
    renewed = cloud.renew(machine, 10)
    listed = cloud.machine(machine.id)
    assert listed.lease is not None
    assert renewed.lease is not None
    assert abs((listed.lease.ends_at - renewed.lease.ends_at).total_seconds()) < 2
    assert listed.tags[OWNER] == "us", "other tags stay"
    assert cloud.console(machine) == "booted"
    image = cloud.save(listed, "my-operation", role=Role.CANDIDATE)
    cloud.images.tag(image, {ROLE: Role.IMAGE})
    (saved,) = [i for i in cloud.account.images() if i.name == "my-operation"]
    assert (saved.tags[ROLE], saved.tags[OWNER]) == ("image", "us")
    cloud.terminate(listed)
    cloud.images.delete(saved)
    collect(cloud, {}, min_age=timedelta(0), dry_run=False)
    assert not site.servers
    assert not site.keys
    assert not site.groups
    assert [i["name"] for i in site.images.values()] == ["debian-12-generic"]


def test_the_rule_lets_ssh_in_once(site: OpenStack, journal: Journal) -> None:
    cloud = _cloud(site, journal)
    for name in ("one", "two"):
        cloud.launch("debian", name=name, hours=1)
    (group,) = site.groups.values()
    (rule,) = group["security_group_rules"]
    assert (rule["port_range_min"], rule["remote_ip_prefix"]) == (22, "10.0.0.0/8")


def test_more_ports_are_open_to_that_network_and_to_our_own_machines(
    site: OpenStack, journal: Journal
) -> None:
    cloud = _cloud(site, journal)
    for name in ("one", "two"):
        cloud.launch("debian", name=name, hours=1, tags={PORTS: "5672,8081"})
    ssh, ports = sorted(site.groups.values(), key=lambda group: len(group["name"]))
    rules = [
        (r["port_range_min"], r["remote_ip_prefix"], r["remote_group_id"])
        for r in ports["security_group_rules"]
    ]
    network = "10.0.0.0/8"
    assert rules == [
        (port, *source) for port in (5672, 8081) for source in ((network, None), (None, ssh["id"]))
    ]


@pytest.mark.parametrize(
    ("more", "arguments", "kind", "message"),
    [
        ({"networks": ["public"]}, {}, Kind.GONE, "no network public; there are: private"),
        ({"sizes": {}}, {"size": "huge"}, Kind.GONE, "no size 'huge'; there are: m1.large, m1.s"),
        ({}, {"image": "nothing"}, Kind.GONE, "no image 'nothing'; there are: debian-12-generic"),
        ({"password": "wrong"}, {}, Kind.AUTH, "the credentials are refused"),
    ],
)
def test_what_cant_be_is_one_clear_line(
    site: OpenStack,
    journal: Journal,
    *,
    more: dict[str, Any],
    arguments: dict[str, Any],
    kind: Kind,
    message: str,
) -> None:
    wanted: dict[str, Any] = {"image": "debian", "name": "m", "hours": 1} | arguments
    with pytest.raises(ProvisionError, match=message) as caught:
        _cloud(site, journal, **more).launch(wanted.pop("image"), **wanted)
    assert caught.value.kind is kind
    assert "\n" not in str(caught.value)
    assert not site.servers


def test_a_reached_quota_is_no_capacity(site: OpenStack, journal: Journal) -> None:
    site.quota = 0
    with pytest.raises(ProvisionError, match="Quota exceeded for instances") as caught:
        _cloud(site, journal).launch("debian", name="m", hours=1)
    assert caught.value.kind is Kind.CAPACITY


def test_a_launch_whose_answer_was_lost_is_found_and_not_made_again(
    site: OpenStack, journal: Journal
) -> None:
    site.loses = 1
    launched = _cloud(site, journal).launch("debian", name="m", hours=1)
    assert list(site.servers) == [launched.id]
    assert [a.thing_id for a in journal.attempts().values() if a.thing == "machine"] == [
        launched.id
    ]


def test_a_builder_whose_command_is_over_is_removed(site: OpenStack, journal: Journal) -> None:
    with Journal(journal.folder, "builder") as theirs:
        _cloud(site, theirs).launch("debian", name="b", hours=1, role=Role.BUILD)
        recover(_cloud(site, journal))
        assert len(site.servers) == 1
    recover(_cloud(site, journal))
    assert not site.servers
