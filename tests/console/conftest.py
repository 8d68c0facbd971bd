"""A browser for the run, a manager with a broker for the module, and people who look."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from streams.broker import Session
from tests.console.looking import CHROMIUM, OPTIONS, People
from tests.manager.serving import ADMIN, Api, serving
from tests.provision.conftest import moto_port
from tests.rabbit import BrokerNode

__all__ = ["moto_port"]


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The run's one Chromium. Fails, never skips, where it isn't installed."""
    home = tmp_path_factory.mktemp("browser")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=OPTIONS, env={**os.environ, "HOME": str(home)}
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def served(broker_node: BrokerNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A manager on a vhost of the module's own."""
    folder: Path = tmp_path_factory.mktemp("manager")
    with (
        broker_node.vhost() as settings,
        serving(settings, f"sqlite:///{folder}/manager.db") as api,
    ):
        yield api


@pytest.fixture(scope="module")
def broker(served: Api) -> Iterator[Session]:
    """A foreign client of the same broker."""
    with Session(served.settings.need_amqp(), name="test") as opened:
        yield opened


@pytest.fixture
def people(browser: Browser, served: Api) -> Iterator[People]:
    """Who opens pages; at the end nothing foreign was asked for, and nothing went wrong in them."""
    made = People(browser, served.url, ADMIN)
    yield made
    made.leave()
