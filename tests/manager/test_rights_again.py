"""What a leading manager gives nodes again when somebody took it from them on the broker."""

from collections.abc import Iterator

import pytest

from manager.broker import ManagerBroker
from streams.settings import Settings
from tests.eventually import eventually


@pytest.fixture
def broker(settings: Settings) -> Iterator[ManagerBroker]:
    """The manager's side of the test's vhost."""
    made = ManagerBroker(settings, lambda _key, _raw: None)
    made.start()
    eventually(lambda: made.connected)
    yield made
    made.stop()


def test_rights_are_given_again_but_to_no_node_that_was_removed(broker: ManagerBroker) -> None:
    for name in ("robbed", "removed", "removed-elsewhere"):
        broker.add_node(name)
    before = {p["user"]: p for p in broker.management.permissions()}
    broker.management.put_permissions("node-robbed", configure="^$", write="^$", read="^$")
    broker.remove_node("removed")
    broker.management.delete_user("node-removed-elsewhere")
    broker.ensure_control()
    after = {p["user"]: p for p in broker.management.permissions()}
    assert after["node-robbed"] == before["node-robbed"]
    assert not {"node-removed", "node-removed-elsewhere"} & after.keys()
    broker.remove_node("robbed")
