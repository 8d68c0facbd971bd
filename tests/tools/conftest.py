"""A manager for a module's commands: each test takes names of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.broker import Session
from streams.settings import Settings
from tests.manager.serving import Api
from tests.rabbit import BrokerNode
from tests.tools.desk import Desk
from tests.tools.typist import Typist, served


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("typist")


@pytest.fixture(scope="module")
def module_api(broker_node: BrokerNode, module_folder: Path) -> Iterator[Api]:
    """A manager that the module's tests share."""
    with served(broker_node, module_folder) as (api, _):
        yield api


@pytest.fixture
def typist(module_api: Api, tmp_path: Path) -> Typist:
    """Its admin, at the keyboard."""
    return Typist.at(module_api.url, tmp_path)


@pytest.fixture
def desk(s3_settings: Settings, session: Session, tmp_path: Path) -> Desk:
    """A person with a broker and an S3 server of the test's own."""
    return Desk(tmp_path, s3_settings, session)


@pytest.fixture
def module_session(module_api: Api) -> Iterator[Session]:
    """A session on the broker of the module's manager."""
    with Session(module_api.settings.need_amqp(), name="test") as opened:
        yield opened
