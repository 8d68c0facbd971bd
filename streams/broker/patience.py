"""Confirms that never come: RabbitMQ can lose a message, unsaid, while a queue's leader changes.

Such a line is given up like one that was lost, and what wasn't confirmed is sent again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pika.exceptions import AMQPConnectionError

#: A confirm that is missing at two looks in a row won't come.
LOOK_S = 10.0
_LOOKS = 2
#: What is said of such a line.
NO_CONFIRM = "no confirm of what was published within 20 s"

Later = Callable[[float, Callable[[], None]], Any]


def watch(later: Later, oldest: Callable[[], int | None], give_up: Callable[[], None]) -> None:
    """Call `give_up` once `oldest`, asked again and again, has been the same number for too long.

    It returns None while nothing is waited for; `give_up` ends the watch, and so does an `oldest`
    that raises StopIteration.
    """
    seen: int | None = None

    def look() -> None:
        nonlocal seen
        try:
            number = oldest()
        except StopIteration:
            return
        if number is not None and number == seen:
            give_up()
            return
        seen = number
        later(LOOK_S, look)

    later(LOOK_S, look)


def is_sending(connection: Any) -> bool:
    """Say whether pika still has bytes for a broker that takes them slowly."""
    transport = connection._transport  # noqa: SLF001 - pika has no other way to ask
    return transport is not None and transport.get_write_buffer_size() > 0


@contextmanager
def within_reason(connection: Any) -> Iterator[None]:
    """End a blocking connection whose publication isn't confirmed in the block.

    Raises:
        AMQPConnectionError: out of pika's own wait.
    """
    impl = connection._impl  # noqa: SLF001 - its public timers don't fire while it waits
    looks, timer = 0, None

    def look() -> None:
        nonlocal looks, timer
        looks = 0 if is_sending(impl) else looks + 1
        if looks == _LOOKS:
            impl._terminate_stream(AMQPConnectionError(NO_CONFIRM))  # noqa: SLF001
        else:
            timer = impl._adapter_call_later(LOOK_S, look)  # noqa: SLF001

    timer = impl._adapter_call_later(LOOK_S, look)  # noqa: SLF001
    try:
        yield
    finally:
        impl._adapter_remove_timeout(timer)  # noqa: SLF001
