"""The manager's database fails, or is brought back from a backup, while an operation works."""

import resource
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.deployment import ADMIN, Deployment, deployed
from tests.eventually import eventually
from tests.rabbit import BrokerNode
from tests.tools.typist import words
from tests.traffic import Collector, Publisher

CAT: dict[str, Any] = {"exec": "cat", "process_type": "service", "settle_s": 0.5}


class Work:
    """An operation that is consumed, and as many messages through it as a test wants."""

    def __init__(self, deployment: Deployment, collector: Collector, publisher: Publisher) -> None:
        self._deployment, self._collector, self._publisher = deployment, collector, publisher

    def goes_on(self) -> None:
        """Send a hundred messages through, and see them come out."""
        self._publisher.allowed += 100
        wanted = self._publisher.allowed
        eventually(lambda: self._collector.different >= wanted, within_s=30, what="it goes on")

    def begins(self) -> None:
        """Wait until it is at work."""
        self._deployment.until("running", "op")


@contextmanager
def working(deployment: Deployment) -> Iterator[Work]:
    """Let an operation work for the length of a `with` block."""
    urls = deployment.settings.need_amqp()
    deployment.operation("op", "in", "out", CAT)
    with ExitStack() as stack:
        collector = stack.enter_context(Collector(urls, "out", "everything"))
        work = Work(deployment, collector, stack.enter_context(Publisher(urls, "in")))
        work.begins()
        work.goes_on()
        yield work


def _post(deployment: Deployment, stream: str) -> httpx.Response:
    url = f"{deployment.settings.need_manager()}/api/streams/"
    return httpx.post(url, json={"name": stream}, auth=ADMIN, trust_env=False, timeout=30)


def test_with_a_full_disk_changes_are_refused_and_all_that_runs_goes_on(
    broker_node: BrokerNode, tmp_path: Path
) -> None:
    with deployed(broker_node, tmp_path) as deployment, working(deployment) as work:
        # When the manager can't write a byte more
        soft, hard = resource.prlimit(deployment.manager.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(deployment.manager.pid, resource.RLIMIT_FSIZE, (1, hard))
        # Then a change is refused, and the operation doesn't mind
        answer = _post(deployment, "refused")
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True), answer.text
        assert "database" in answer.json()["problems"][0]
        work.goes_on()
        # and when there is room again, the manager needs no help
        resource.prlimit(deployment.manager.pid, resource.RLIMIT_FSIZE, (soft, hard))
        eventually(lambda: _post(deployment, "refused").status_code == 201, within_s=30)
        work.begins()
        work.goes_on()


def test_after_a_restore_operations_work_with_the_broker_as_it_is(
    broker_node: BrokerNode, tmp_path: Path
) -> None:
    file = tmp_path / "state.backup"

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        service = deployment.manager
        return subprocess.run(
            words(*arguments),
            cwd=tmp_path,
            env=service.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    with deployed(broker_node, tmp_path) as deployment, working(deployment) as work:
        # Given a backup, made while the manager works, and changes after it
        done = run("backup", str(file))
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert "not encrypted" in done.stderr
        assert file.stat().st_mode & 0o777 == 0o600
        assert "exists" in run("backup", str(file)).stderr
        assert _post(deployment, "later").status_code == 201
        # When it is restored, which nobody can while the manager works
        refused = run("restore", str(file), "--force")
        assert (refused.returncode, "a manager works" in refused.stderr) == (1, True)
        deployment.manager.kill()
        work.goes_on()
        refused = run("restore", str(file))
        assert (refused.returncode, "--force" in refused.stderr) == (1, True)
        done = run("restore", str(file), "--force")
        assert done.returncode == 0, done.stderr
        # Then the manager knows what it knew, and the operation works on, also anew
        deployment.start_manager()
        work.begins()
        work.goes_on()
        assert "later" not in {stream["name"] for stream in deployment.client.list("streams")}
        deployment.client.patch_operation("op", demand="paused")
        deployment.until("paused", "op")
        deployment.client.patch_operation("op", demand="consumers")
        work.begins()
        work.goes_on()
