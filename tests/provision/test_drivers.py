"""Drivers by name: registered once, strict about arguments, any of libcloud's will do."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from provision.capabilities import Capability
from provision.cloud import Cloud
from provision.drivers import driver_for
from provision.errors import Kind, ProvisionError, SecretError
from provision.inventory import Inventory
from provision.journal import Journal
from provision.machine import State
from provision.secrets import Secrets

DUMMY = {"kind": "libcloud", "driver": "dummy", "arguments": {"creds": "0"}}
LOGIN = Secrets({"STREAMBOSS_SECRET_C_KEY": "k", "STREAMBOSS_SECRET_C_SECRET": "s"})


def _cloud(entry: dict[str, Any], journal: Journal, secrets: Secrets = LOGIN) -> Cloud:
    inventory = Inventory.model_validate(
        {"defaults": {"cloud": "c", "owner": "us"}, "clouds": {"c": entry}}
    )
    cloud = Cloud.open(inventory, None, journal=journal, secrets=secrets)
    return Cloud(cloud.account, journal, grace_s=0.1, interval_s=0.01)


def test_any_driver_of_libclouds_launches_and_ends_machines_of_ours(journal: Journal) -> None:
    cloud = _cloud({**DUMMY, "driver": "tests.provision.named.NamedDriver"}, journal)
    assert len(cloud.account.machines()) == 2
    assert cloud.machines() == [], "what the dummy shows from the start isn't ours"
    assert Capability.TAGS not in cloud.account.can
    launched = cloud.launch("Ubuntu 9.10", name="agent", size="1", hours=1)
    (listed,) = cloud.machines()
    assert listed.id == launched.id
    assert listed.lease is not None, "the journal keeps what the cloud doesn't"
    assert cloud.wait_ready(launched).state is State.RUNNING
    cloud.renew(listed, 5)
    assert cloud.machine(listed.id).lease != listed.lease
    cloud.terminate(listed)
    assert cloud.machines() == []


def test_a_machine_that_nobody_could_tell_as_ours_is_ended_at_once(journal: Journal) -> None:
    cloud = _cloud(DUMMY, journal)
    with pytest.raises(ProvisionError, match="neither tags nor names"):
        cloud.launch("Ubuntu 9.10", name="agent", size="1", hours=1)
    assert [m.state for m in cloud.account.machines()[2:]] == []
    assert not journal.attempts()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({**DUMMY, "arguments": {"creds": "0", "url": "x"}}, "arguments: url: not of dummy's; "),
        ({**DUMMY, "driver": "nonesuch"}, "driver: libcloud knows no 'nonesuch'; give a provider"),
        ({**DUMMY, "driver": "no.such.Class"}, "driver: libcloud knows no 'no.such.Class'"),
        ({"kind": "ec2", "region": "mars-1"}, "clouds: c: Invalid region: mars-1"),
    ],
)
def test_what_libcloud_would_swallow_is_refused(
    journal: Journal, entry: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProvisionError, match=message):
        _cloud(entry, journal).check()


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "ec2"},
        {"kind": "nimbus", "host": "h"},
        {"kind": "eucalyptus", "host": "h"},
        {"kind": "openstack", "auth_url": "http://127.0.0.1:1"},
    ],
)
def test_without_credentials_nothing_is_asked_and_the_message_says_where_to_put_them(
    journal: Journal, entry: dict[str, Any]
) -> None:
    with pytest.raises(SecretError, match="no secret 'c-key': set STREAMBOSS_SECRET_C_KEY"):
        _cloud(entry, journal, Secrets({})).check()


def test_drivers_are_registered_once_by_many_threads(journal: Journal) -> None:
    def make(_: int) -> Any:
        cloud = _cloud({"kind": "ec2", "region": "eu-west-1"}, journal)
        return driver_for("c", cloud.entry, LOGIN, journal.folder)

    with ThreadPoolExecutor(8) as pool:
        drivers = list(pool.map(make, range(16)))
    assert len({id(driver) for driver in drivers}) == 16
    assert len({type(driver) for driver in drivers}) == 1
    assert drivers[0].connection.host == "ec2.eu-west-1.amazonaws.com"
    assert drivers[0].connection.signature_version == "4"


def test_a_cloud_that_isnt_there_is_one_line(journal: Journal) -> None:
    cloud = _cloud({"kind": "eucalyptus", "host": "127.0.0.1", "port": 1, "secure": False}, journal)
    cloud.account.caller._patience_s = 0.1
    with pytest.raises(ProvisionError, match=r"^c: list machines: can't be reached: ") as caught:
        cloud.check()
    assert caught.value.kind is Kind.RETRY
