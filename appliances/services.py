"""What appliances need of a manager and its broker; whoever calls us hands it in."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from provision.errors import ProvisionError
from provision.waiting import wait_until

Json = dict[str, Any]


class Manager(Protocol):
    """The part of the manager's API that is used here; `manager.client` has it."""

    def get(self, kind: str, name: str | int) -> Json:
        """Return one thing of a kind."""
        ...

    def list(self, kind: str) -> Sequence[Json]:
        """Return everything of a kind."""
        ...

    def delete(self, kind: str, name: str | int) -> Json:
        """Remove one thing of a kind."""
        ...

    def add_node(self, name: str, **options: Any) -> Json:
        """Add a node; return the content of its agent.json."""
        ...

    def create_stream(self, name: str) -> bool:
        """Create a stream."""
        ...

    def create_operation(
        self, name: str, definition_id: int, input_stream: str, output_stream: str, **options: Any
    ) -> bool:
        """Create an operation."""
        ...

    def begin_build(self, name: str, **told: Any) -> None:
        """Tell that an image is being built."""
        ...

    def tell_step(self, name: str, **told: Any) -> None:
        """Tell of a step of a build."""
        ...

    def end_build(self, name: str, **told: Any) -> None:
        """Tell how a build ended."""
        ...

    def register(self, document: Mapping[str, Any], *, temporary: bool = False) -> int:
        """Register a process definition; return its id, which a temporary one takes from nobody."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """A manager, and the addresses of its broker."""

    manager: Manager
    amqp_urls: tuple[str, ...] = field(repr=False)


#: Opens them when they are needed, and not before.
Open = Callable[[], AbstractContextManager[Services]]


def join(manager: Manager, name: str, offer: str) -> Json:
    """Let a machine join as a node; return its agent.json."""
    config = manager.add_node(name, offers=[offer])
    config.pop("slots", None)  # its agent knows how many cores the machine has
    return config


@contextmanager
def joined(manager: Manager, name: str, offer: str) -> Iterator[Json]:
    """Let a machine join for the length of a `with` block; gives its agent.json."""
    config = join(manager, name, offer)
    try:
        yield config
    finally:
        manager.delete("nodes", name)


def wait_for_node(manager: Manager, name: str, *, timeout_s: float) -> None:
    """Wait until the manager hears a node's agent.

    Raises:
        WaitTimeoutError: it doesn't.
    """
    wait_until(
        lambda: True if manager.get("nodes", name)["state"] == "ready" else None,
        what=f"the agent of {name} answering over AMQP",
        timeout_s=timeout_s,
        interval_s=0.2,
    )


def wait_for_operation(manager: Manager, name: str, node: str, *, timeout_s: float) -> None:
    """Wait until an operation runs on `node`.

    Raises:
        ProvisionError: it failed, or runs elsewhere.
        WaitTimeoutError: it doesn't run in time.
    """

    def running() -> bool | None:
        seen = manager.get("operations", name)
        if seen["state"] == "failed":
            raise ProvisionError(f"operation {name}: {seen['reason']}")
        if seen["state"] != "running":
            return None
        if node not in seen["nodes"]:
            raise ProvisionError(f"operation {name} runs on {seen['nodes']}, not on {node}")
        return True

    wait_until(running, what=f"operation {name} running", timeout_s=timeout_s, interval_s=0.2)
