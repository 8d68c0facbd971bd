"""Limits on an appliance: its agent makes cgroups in a unit of systemd, and they hold."""

import pytest

from tests.appliances.desk import Desk, over_ssh, value
from tests.appliances.elastic import BOOT_S
from tests.eventually import eventually

pytestmark = [pytest.mark.timeout(1200), pytest.mark.long]

#: podman shows a machine its cgroups of version 1 read-only; those of version 2 are its own anyway.
_WRITABLE = (
    "for each in memory pids cpu; do"
    " [ ! -d /sys/fs/cgroup/$each ] || mount -o remount,bind,rw /sys/fs/cgroup/$each; done;"
    " systemctl restart streamboss-agent"
)
_SAID = (
    "journalctl --output cat _SYSTEMD_INVOCATION_ID="
    "$(systemctl show --property InvocationID --value streamboss-agent)"
)
#: A shell and its child, which takes 300 MB; what is left of it says that it could.
_TAKES = "python3 -c 'x = bytearray(300_000_000); print(len(x))'"
_PROGRAM = f"read x; case $x in memory) {_TAKES}; exit $?;; few) id -un;; esac"


def test_limits_hold_on_an_appliance(desk: Desk, stream_agent: str) -> None:
    # Given a machine whose agent may make cgroups
    run = desk.fab("run_appliance", "--name", stream_agent, "--hours", "1")
    over_ssh(run, _WRITABLE)
    person = desk.person()
    limits = {"memory_bytes": 100_000_000, "processes": 20}
    number = person.register(
        name="Takes", application=stream_agent, exec=_PROGRAM, limits=limits, retries=0
    )
    person.run("create_operation.py", "takes", str(number), "wants", "gets")
    taken = person.consume("gets", "--count", "1")
    person.until("takes", "running", BOOT_S)
    # When a program wants more than that, then its child is ended, and its neighbour isn't
    person.run("publish.py", "wants", stdin="memory\nfew\n")
    assert taken.line(60) == "streamboss-op"
    (letter,) = eventually(
        lambda: person.http("GET", "operations/takes/dead-letters/")["objects"],
        within_s=60,
        what="a dead letter",
    )
    assert "out of memory (limits: memory_bytes)" in letter["reason"]
    assert "no cgroups" not in over_ssh(run, _SAID)
    person.leave()
    desk.fab("remove_operation", "--name", "takes")
    desk.fab("terminate", "--handle", value(run, "handle"))
