"""Machines of the local cloud that come with demand and go with it."""

import threading
from collections.abc import Sequence

import pytest

from provision.keys import ensure
from provision.machine import AGENT, APPLIANCE, OWNER, ROLE, Role
from tests.appliances.desk import Desk
from tests.appliances.elastic import BOOT_S, Fleet
from tests.embedded import Listener
from tests.eventually import eventually
from tests.provision.local.machines import booted

pytestmark = [pytest.mark.timeout(900), pytest.mark.long]


@pytest.fixture
def fleet(desk: Desk, stream_agent: str) -> Fleet:
    """A desk with a stack, and one appliance."""
    assert stream_agent
    return Fleet(desk)


def test_a_backlog_grows_to_three_machines_and_back_to_one(fleet: Fleet) -> None:
    # Given an appliance whose machines take one operation each
    recipe = fleet.desk.recipe("one-slot", **{"from": "stream-agent"})
    fleet.desk.fab("build_appliance", "--recipe", recipe)
    slow = "sleep 0.3; cat"
    fleet.operation(
        "slow", "one-slot", exec=slow, order="none", concurrency=1, instances={"min": 1, "max": 3}
    )
    sent = [f"message {number}" for number in range(1000)]
    taken = fleet.consume("slow")  # and goes on to
    eventually(lambda: fleet.state("slow") == "running", within_s=BOOT_S, what="it runs")
    # When far more comes than one does
    fleet.publish("slow", *sent)
    eventually(lambda: len(_at_work(fleet)) == 3, within_s=BOOT_S, what="three machines")
    # Then everything comes out, and two of them go
    got = {taken.line(300) for _ in sent}
    assert got == set(sent)
    eventually(lambda: len(fleet.machines()) == 1, within_s=400, what="one machine")
    fleet.remove("slow")
    fleet.until_gone()


def test_a_machine_killed_under_load_is_replaced_and_nothing_lost(fleet: Fleet) -> None:
    fleet.operation("busy", exec="sleep 0.05; cat", order="fifo")
    sent = [f"message {number}" for number in range(1000)]
    taken = fleet.consume("busy")
    fleet.publish("busy", *sent)
    got = [taken.line(BOOT_S) for _ in range(20)]
    (victim,) = fleet.desk.cloud.list_nodes()
    fleet.desk.cloud.destroy_node(victim)
    assert _first_seen(taken, len(sent), got) == sent
    assert [str(node.id) for node in fleet.desk.cloud.list_nodes()] != [str(victim.id)]
    fleet.remove("busy")
    fleet.until_gone()


def test_a_machine_is_replaced_before_its_lease_ends_and_order_stays(fleet: Fleet) -> None:
    # Given a lease of three and a half minutes, and work for longer
    recipe = fleet.desk.recipe("short-lease", **{"from": "stream-agent"})
    fleet.desk.fab("build_appliance", "--recipe", recipe)
    fleet.operation("steady", "short-lease", exec="sleep 0.25; cat", order="fifo")
    sent = [f"message {number}" for number in range(1000)]
    taken = fleet.consume("steady")
    fleet.publish("steady", *sent)
    # Then another machine goes on where the first stopped
    assert _first_seen(taken, len(sent)) == sent
    ended = [line for line in fleet.phases() if "short-lease" in line and line.endswith("ended")]
    assert ended
    fleet.remove("steady")
    fleet.until_gone()


def test_an_image_that_does_not_boot_is_given_up_after_three(fleet: Fleet) -> None:
    _save_one_that_ends_itself(fleet.desk)
    fleet.operation("dead", "never-boots")
    fleet.consume("dead")
    eventually(
        lambda: fleet.state("dead") == "failed" and "3" in fleet.reason("dead"),
        within_s=3 * BOOT_S,
        what="its image is given up",
    )
    fleet.remove("dead")
    fleet.until_gone()
    assert (
        len([line for line in fleet.phases() if "never-boots" in line and "booting" in line]) == 3
    )


def test_three_operations_share_one_machine(fleet: Fleet) -> None:
    names = ["one", "two", "three"]
    for name in names:
        fleet.operation(name)
    consumers = {name: fleet.consume(name, "--count", "1") for name in names}
    threads = [threading.Thread(target=fleet.publish, args=(n, f"from {n}")) for n in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for name, consumer in consumers.items():
        assert consumer.line(BOOT_S) == f"from {name}".upper()
    assert len(fleet.machines()) == 1
    fleet.remove(*names)
    fleet.until_gone()


def _first_seen(taken: Listener, count: int, before: Sequence[str] = ()) -> list[str]:
    """Return so many different messages by when each came first; what comes again is left out."""
    seen = dict.fromkeys(before)
    while len(seen) < count:
        seen[taken.line(BOOT_S)] = None
    return list(seen)


def _at_work(fleet: Fleet) -> list[str]:
    return [m["name"] for m in fleet.machines() if m["phase"] == "ready" and m["operations"]]


def _save_one_that_ends_itself(desk: Desk) -> None:
    """Make an image whose machines power off as soon as they are up."""
    key = ensure(desk.folder / "key", comment="test")
    with booted(desk.cloud, key, name="never-boots") as machine:
        unit = (
            "[Service]\\nExecStart=/bin/systemctl poweroff\\n[Install]\\nWantedBy=multi-user.target"
        )
        machine.sh(f"printf '{unit}\\n' >/etc/systemd/system/end.service; systemctl enable end")
        machine.sh("cloud-init clean --logs; rm -f /etc/ssh/ssh_host_*; : >/etc/machine-id; sync")
        tags = {OWNER: "tests", APPLIANCE: "never-boots", ROLE: Role.IMAGE, AGENT: "yes"}
        desk.cloud.create_image(machine.node, "never-boots", ex_metadata=tags)
