"""Real parts for the tests: a RabbitMQ node and an S3 server a run, a vhost and a bucket a test."""

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from streams.access import S3Access
from streams.broker import Session
from streams.settings import Settings
from tests.rabbit import BrokerNode, running_node
from tests.s3 import S3Server, running_s3

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


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """The run's one S3 server. Fails, never skips, where it isn't installed."""
    with running_s3() as server:
        yield server


@pytest.fixture
def s3_access(s3_server: S3Server) -> S3Access:
    """How the run's S3 server is reached, with all rights."""
    return s3_server.access


@pytest.fixture
def bucket(s3_server: S3Server) -> Iterator[str]:
    """A bucket of the test's own, gone with the test."""
    with s3_server.bucket() as name:
        yield name


@pytest.fixture
def s3_settings(settings: Settings, s3_access: S3Access, bucket: str) -> Settings:
    """Settings for a vhost and a bucket of the test's own, for archives and outputs alike."""
    return replace(settings, s3=s3_access, bucket=bucket, object_bucket=bucket)
