"""What machines are told, and how."""

import json

import pytest

from provision.capabilities import CLOUD_CLIENT, EC2, LOCAL, NIMBUS, OPENSTACK, Capability
from provision.entries import Ec2Entry, LocalEntry
from provision.errors import ProvisionError
from provision.user_data import agent_file, cloud_config, reachable, told_by_ssh


def test_a_broker_on_this_computer_is_elsewhere_for_machines() -> None:
    local = LocalEntry(kind="local")
    files = agent_file("local", local, {"name": "n", "amqp_urls": ["amqp://u:p@127.0.0.1:5672/v"]})
    (text,) = files.values()
    assert json.loads(text)["amqp_urls"] == ["amqp://u:p@10.0.2.2:5672/v"]
    assert reachable("local", local, "amqp://u:p@broker:5672/") == "amqp://u:p@broker:5672/"
    with pytest.raises(ProvisionError, match="can't reach a broker on") as refused:
        reachable("far", Ec2Entry(kind="ec2"), "amqp://u:secret@127.0.0.1:5672/")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("can", "by_ssh"),
    [
        (LOCAL, False),
        (EC2, False),
        (OPENSTACK, False),
        # saves only what was launched without user data
        (NIMBUS | CLOUD_CLIENT, True),
        (LOCAL - {Capability.USER_DATA}, True),
    ],
)
def test_machines_are_told_by_ssh_where_cloud_init_cannot_be(
    can: frozenset[Capability], by_ssh: bool
) -> None:
    assert told_by_ssh(can) is by_ssh


def test_user_data_is_short() -> None:
    text = cloud_config("ssh-ed25519 AAAA me", {"/etc/streamboss/lease": "2026-01-01T00:00:00Z\n"})
    head, _, rest = text.partition("\n")
    assert head == "#cloud-config"
    assert json.loads(rest)["write_files"][0]["permissions"] == "0600"
    assert len(text) < 250
