"""Our face of a cloud on EC2's interface: moto's server, strict, behind a front with bad days."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from provision import prices
from provision.attempts import Status
from provision.cloud import Cloud
from provision.entries import Limits
from provision.errors import Kind, MachineFailedError, ProvisionError, WaitTimeoutError
from provision.garbage import collect
from provision.journal import Journal
from provision.machine import APPLIANCE, ATTEMPT, OWNER, PORTS, ROLE, Role, State
from tests.provision.front import Fault, Front
from tests.provision.machinery import OWNER as US
from tests.provision.machinery import ec2_cloud

Look = Callable[[], dict[str, dict[str, str]]]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSSwYJmHhGjBjUFJLCjWXQKbjRrVTqJ8dHwTEsT00 test"


def test_from_launch_to_saved_image_to_nothing_left(cloud: Cloud, machines_there: Look) -> None:
    launched = cloud.launch(
        "debian", name="stream-agent", hours=744, user_data="#!/bin/sh\n", public_key=KEY
    )
    assert launched.lease is not None
    ready = cloud.wait_ready(launched)
    assert (ready.state, ready.ssh_port, ready.size) == (State.RUNNING, 22, "t3.small")
    assert ready.host
    assert ready.lease is not None
    assert abs((ready.lease.ends_at - launched.lease.ends_at).total_seconds()) < 2
    assert machines_there()[ready.id][OWNER] == US
    image = cloud.save(ready, "my-operation", tags={"streamboss:hash": "abc"})
    assert image.available
    assert image.tags["streamboss:hash"] == "abc"
    assert image.tags["streamboss:source"] == ready.id
    assert image.parts
    cloud.terminate(cloud.machine(ready.id))
    assert not machines_there()
    again = cloud.launch("my-operation", name="again", hours=1, role=Role.TEST)
    assert again.image == image.id
    cloud.terminate(again)
    cloud.images.delete(image)
    assert [i.name for i in cloud.account.images()] == ["debian-12-base"]
    assert not [a for a in cloud.journal.attempts().values() if a.thing in ("machine", "image")]


def test_deleting_an_image_takes_its_snapshots_along(cloud: Cloud, moto: Any) -> None:
    machine = cloud.launch("debian", name="m", hours=1)
    image = cloud.save(machine, "saved")
    snapshots = {s["SnapshotId"] for s in moto.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    assert set(image.parts) <= snapshots
    cloud.images.delete(image)
    left = {s["SnapshotId"] for s in moto.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    assert not left & set(image.parts)


def test_a_lost_answer_launches_one_machine(
    cloud: Cloud, front: tuple[Front, int], machines_there: Look
) -> None:
    front[0].faults["RunInstances"] = [Fault.LOST, Fault.BUSY, Fault.LOST]
    launched = cloud.launch("debian", name="once", hours=1)
    assert list(machines_there()) == [launched.id]
    assert machines_there()[launched.id][ATTEMPT] == launched.tags[ATTEMPT]


def test_a_lost_answer_to_a_save_makes_one_image(cloud: Cloud, front: tuple[Front, int]) -> None:
    machine = cloud.launch("debian", name="m", hours=1)
    front[0].faults["CreateImage"] = [Fault.CUT, Fault.LOST]
    image = cloud.save(machine, "saved")
    assert [i.id for i in cloud.account.images() if i.name == "saved"] == [image.id]


def test_an_image_that_stays_pending_is_waited_for_in_vain_and_used_when_it_comes(
    cloud: Cloud, front: tuple[Front, int]
) -> None:
    machine = cloud.launch("debian", name="m", hours=1)
    front[0].images_stay_pending = True
    with pytest.raises(WaitTimeoutError, match=r"image saved .* available: not so after 0\.3 s"):
        cloud.save(machine, "saved", timeout_s=0.3)
    (known,) = [a for a in cloud.journal.attempts().values() if a.thing == "image"]
    assert known.status is Status.DONE
    front[0].images_stay_pending = False
    assert cloud.account.find_image("saved").id == known.thing_id


def test_a_machine_that_the_cloud_hides_at_first_is_waited_for(
    cloud: Cloud, front: tuple[Front, int]
) -> None:
    front[0].hidden_s = 1
    launched = cloud.launch("debian", name="hidden", hours=1)
    assert launched.id not in [m.id for m in cloud.machines()]
    assert cloud.wait_ready(launched, timeout_s=10).state is State.RUNNING


def test_a_machine_that_the_cloud_hides_at_first_is_terminated_all_the_same(
    cloud: Cloud, front: tuple[Front, int], machines_there: Look
) -> None:
    front[0].hidden_s = 0.5
    cloud.terminate(cloud.launch("debian", name="hidden", hours=1))
    assert not machines_there()


def test_an_appliance_is_its_newest_promoted_image(cloud: Cloud) -> None:
    machine = cloud.launch("debian", name="m", hours=1)
    made = [
        cloud.save(machine, f"app-{n}", tags={APPLIANCE: "app"}, role=role)
        for n, role in enumerate((Role.IMAGE, Role.IMAGE, Role.CANDIDATE))
    ]
    assert cloud.account.find_image("app").id in {image.id for image in made[:2]}
    assert cloud.account.find_image("app-2").id == made[2].id


def test_what_passes_by_itself_is_asked_again(cloud: Cloud, front: tuple[Front, int]) -> None:
    front[0].faults["DescribeInstances"] = [Fault.HTML, Fault.CUT, Fault.BUSY]
    assert cloud.machines() == []


@pytest.mark.parametrize(
    ("fault", "kind"), [(Fault.FULL, Kind.CAPACITY), (Fault.REFUSED, Kind.AUTH)]
)
def test_a_refused_launch_is_told_and_leaves_nothing_open(
    cloud: Cloud, front: tuple[Front, int], machines_there: Look, fault: Fault, kind: Kind
) -> None:
    front[0].faults["RunInstances"] = [fault]
    with pytest.raises(ProvisionError, match=r"^moto: launch m: ") as caught:
        cloud.launch("debian", name="m", hours=1)
    assert caught.value.kind is kind
    assert front[0].seen.count("RunInstances") == 1
    assert not machines_there()
    assert not [a for a in cloud.journal.attempts().values() if a.thing == "machine"]


def test_ignored_filters_dont_make_foreign_machines_ours(
    cloud: Cloud, front: tuple[Front, int], journal: Journal, machines_there: Look
) -> None:
    theirs = ec2_cloud(front[1], journal, owner=f"{US}-2").launch("debian", name="theirs", hours=1)
    front[0].ignores_filters = True
    assert cloud.machines() == []
    with pytest.raises(ProvisionError, match=r"no machine .* of ours"):
        cloud.machine(theirs.id)
    for forbidden in (cloud.terminate, cloud.stop):
        with pytest.raises(ProvisionError, match="isn't ours"):
            forbidden(theirs)
    assert list(machines_there()) == [theirs.id]


def test_a_renewed_lease_is_on_the_machine(cloud: Cloud, machines_there: Look) -> None:
    machine = cloud.launch("debian", name="m", hours=1)
    renewed = cloud.renew(machine, 10)
    listed = cloud.machine(machine.id)
    assert listed.lease is not None
    assert renewed.lease is not None
    assert abs((listed.lease.ends_at - renewed.lease.ends_at).total_seconds()) < 2
    with pytest.raises(ProvisionError, match="745 is more than the 744"):
        cloud.renew(machine, 745)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": "nothing"}, "moto: no image 'nothing'; there are: debian-12-base"),
        ({"size": "huge"}, "unknown size 'huge'; there are: small"),
        ({"hours": 745}, "745 is more than the 744"),
        ({"hours": 0}, "0 is no length of a lease"),
        ({"user_data": "x" * 16385}, "user data of 16385 bytes, but it takes 16384"),
    ],
)
def test_a_launch_that_cant_be_is_refused_before_it_is_made(
    cloud: Cloud, front: tuple[Front, int], arguments: dict[str, Any], message: str
) -> None:
    wanted: dict[str, Any] = {"image": "debian", "name": "m", "hours": 1} | arguments
    with pytest.raises(ProvisionError, match=message):
        cloud.launch(wanted.pop("image"), **wanted)
    assert "RunInstances" not in front[0].seen
    assert not cloud.journal.attempts()


def test_the_inventorys_number_of_machines_is_the_limit(
    front: tuple[Front, int], journal: Journal
) -> None:
    cloud = ec2_cloud(front[1], journal, limits=Limits(machines=1, calls_per_s=1000))
    cloud.launch("debian", name="one", hours=1)
    with pytest.raises(ProvisionError, match="allows 1") as caught:
        cloud.launch("debian", name="two", hours=1)
    assert caught.value.kind is Kind.CAPACITY


def test_the_inventorys_price_comes_before_libclouds(
    front: tuple[Front, int], journal: Journal
) -> None:
    known = prices.hourly(ec2_cloud(front[1], journal), "small")
    assert known
    named = ec2_cloud(front[1], journal, prices={"small": 0.5})
    own_word = ec2_cloud(front[1], journal, prices={"t3.small": 0.25})
    assert (prices.hourly(named, "small"), prices.hourly(own_word, "small")) == (0.5, 0.25)


def test_a_name_that_exists_is_refused_before_anything_is_stopped(cloud: Cloud) -> None:
    machine = cloud.launch("debian", name="m", hours=1)
    with pytest.raises(ProvisionError, match="there is an image 'debian-12-base' already"):
        cloud.save(machine, "debian-12-base")
    assert cloud.machine(machine.id).state is not State.STOPPED


def test_a_machine_that_ends_is_not_waited_for(cloud: Cloud, moto: Any) -> None:
    machine = cloud.launch("debian", name="m", hours=1)
    moto.terminate_instances(InstanceIds=[machine.id])
    with pytest.raises(MachineFailedError, match="is terminated instead of running"):
        cloud.wait_ready(machine, timeout_s=60)


def test_terminating_twice_is_no_error(cloud: Cloud) -> None:
    machine = cloud.launch("debian", name="m", hours=1)
    cloud.terminate(machine)
    cloud.terminate(machine)


def test_eight_threads_wait_with_few_calls_and_a_driver_each(
    cloud: Cloud, front: tuple[Front, int]
) -> None:
    front[0].hidden_s = 0.5
    machines = [cloud.launch("debian", name=f"m{i}", hours=1) for i in range(8)]
    before = front[0].seen.count("DescribeInstances")
    with ThreadPoolExecutor(8) as pool:
        ready = list(pool.map(cloud.wait_ready, machines))
    assert sorted(m.id for m in ready) == sorted(m.id for m in machines)
    calls = front[0].seen.count("DescribeInstances") - before
    looks = 0.5 / 0.05 + 2
    assert calls < 8 * looks


def test_the_security_group_lets_ssh_in_from_the_inventorys_network_alone(
    cloud: Cloud, moto: Any
) -> None:
    cloud.launch("debian", name="m", hours=1)
    (name,) = cloud.account.groups()
    (group,) = moto.describe_security_groups(GroupNames=[name])["SecurityGroups"]
    (rule,) = group["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"]) == (22, 22)
    assert [r["CidrIp"] for r in rule["IpRanges"]] == ["10.0.0.0/8"]


def test_more_ports_are_open_to_that_network_and_to_our_own_machines(
    cloud: Cloud, moto: Any
) -> None:
    machine = cloud.launch("debian", name="m", hours=1, tags={PORTS: "5672,8081"})
    ssh, ports = sorted(cloud.account.groups(), key=len)
    (group,) = moto.describe_security_groups(GroupNames=[ports])["SecurityGroups"]
    (source,) = moto.describe_security_groups(GroupNames=[ssh])["SecurityGroups"]
    for rule, port in zip(group["IpPermissions"], (5672, 8081), strict=True):
        assert (rule["FromPort"], rule["ToPort"]) == (port, port)
        assert [r["CidrIp"] for r in rule["IpRanges"]] == ["10.0.0.0/8"]
        assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [source["GroupId"]]
    # what lets another group in goes first, or neither could go
    cloud.terminate(machine)
    collect(cloud, {}, min_age=timedelta(0), dry_run=False)
    assert not cloud.account.groups()


def test_an_intent_stands_before_the_call_and_its_end_after_it(
    cloud: Cloud, front: tuple[Front, int]
) -> None:
    machine = cloud.launch("debian", name="m", hours=1, role=Role.BUILD)
    attempt = cloud.journal.attempts()[machine.tags[ATTEMPT]]
    assert (attempt.status, attempt.thing_id) == (Status.DONE, machine.id)
    assert attempt.tags[ROLE] == "build"


def test_no_secret_or_user_data_is_in_an_error(front: tuple[Front, int], journal: Journal) -> None:
    cloud = ec2_cloud(front[1], journal)
    front[0].stop()
    cloud.account.caller._patience_s = 0.1
    with pytest.raises(ProvisionError) as caught:
        cloud.machines()
    assert "can't be reached: Connection refused" in str(caught.value)
    assert "Signature" not in str(caught.value)
    assert "http" not in str(caught.value)
