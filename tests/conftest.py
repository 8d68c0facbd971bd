"""Real parts for the tests: one RabbitMQ node a run, one vhost a test."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from streams.broker import Session
from streams.settings import Settings
from tests.rabbit import BrokerNode, running_node

# A busy machine is no failure; and what fails once must fail again on the next machine.
hypothesis_settings.register_profile(
    "ours", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("ours")


@pytest.fixture(autouse=True)
def _nothing_of_the_desk_leaks_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No setting, home or unbuffering of whoever runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith(("STREAMBOSS_", "AWS_")) or name == "PYTHONUNBUFFERED":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def broker_node() -> Iterator[BrokerNode]:
    """The run's one RabbitMQ node. Fails, never skips, where RabbitMQ isn't installed."""
    with running_node() as node:
        yield node


@pytest.fixture
def settings(broker_node: BrokerNode) -> Iterator[Settings]:
    """Settings for a vhost of the test's own, gone with the test."""
    with broker_node.vhost() as settings:
        yield settings


@pytest.fixture
def session(settings: Settings) -> Iterator[Session]:
    """A blocking session on the test's own vhost."""
    with Session(settings.need_amqp(), name="test") as opened:
        yield opened
