"""Two managers on one PostgreSQL: one leads; when it is killed, the other one does."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from streams.settings import Settings
from tests.deployment import ADMIN, Service
from tests.eventually import eventually
from tools.stack.ports import free_ports


class _Manager:
    def __init__(self, folder: Path, settings: Settings, database_url: str, port: int) -> None:
        environment = {
            "STREAMBOSS_AMQP_URL": ",".join(settings.need_amqp()),
            "STREAMBOSS_BROKER_API_URL": settings.need_broker_api(),
            "STREAMBOSS_DATABASE_URL": database_url,
            "STREAMBOSS_USER": ADMIN[0],
            "STREAMBOSS_PASSWORD": ADMIN[1],
        }
        self.url = f"http://127.0.0.1:{port}"
        self.service = Service(folder, environment, "manager", "--port", str(port))

    def leads(self) -> bool:
        """Say whether it answers, and leads."""
        try:
            told = httpx.get(f"{self.url}/metrics", auth=ADMIN, trust_env=False, timeout=10)
        except httpx.HTTPError:
            return False
        return bool(re.search(r"^streamboss_manager_leads 1\.0$", told.text, re.MULTILINE))


@pytest.fixture
def managers(settings: Settings, postgres_url: str, tmp_path: Path) -> Iterator[list[_Manager]]:
    """Two managers, each a process."""
    ports = free_ports(2)
    made = [_Manager(tmp_path / str(p), settings, postgres_url, p) for p in ports]
    try:
        yield made
    except BaseException:
        for each in made:
            sys.stderr.write(each.service.log.read_text(errors="replace")[-5000:])
        raise
    finally:
        for each in made:
            each.service.kill()


def test_when_the_leader_is_killed_the_other_one_leads(managers: list[_Manager]) -> None:
    first, second = managers
    first.service.start()
    eventually(first.leads, within_s=60, what="the first one leads")
    second.service.start()
    url = f"{second.url}/readyz"
    eventually(lambda: _answers(url), within_s=60, what="the second one is ready")
    assert first.leads()
    assert not second.leads()
    first.service.kill()
    # after 9 s by the contract; the rest is for a busy computer
    eventually(second.leads, within_s=30, what="the second one leads")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=10).is_success
    except httpx.HTTPError:
        return False
