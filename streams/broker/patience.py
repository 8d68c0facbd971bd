"""Confirms that never come: a line without them is given up like one that was lost.

A channel of RabbitMQ that first publishes while a queue's leader is dead may refuse everything for
ever, or lose it unsaid. Over another line it is taken; what wasn't confirmed is sent again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pika.exceptions import AMQPConnectionError

#: A confirm that is missing at two looks in a row won't come.
LOOK_S = 10.0
_LOOKS = 2
#: What is said of such a line.
NO_CONFIRM = "what was published isn't confirmed"


class Watch:
    """Looks whether confirms come; `give_up` is called, once, when they don't.

    `waiting` returns the number of the first message that isn't confirmed, or None: nothing is to
    be waited for just now.
    """

    def __init__(
        self,
        later: Callable[[float, Callable[[], None]], Any],
        waiting: Callable[[], int | None],
        give_up: Callable[[], None],
    ) -> None:
        self._later, self._waiting, self._give_up = later, waiting, give_up
        #: how often something was confirmed
        self.taken = 0
        self._seen: tuple[int | None, int] = None, 0
        self._ended = False
        later(LOOK_S, self._look)

    def end(self) -> None:
        """Look no more."""
        self._ended = True

    def _look(self) -> None:
        if self._ended:
            return
        (before, taken), now = self._seen, self._waiting()
        if before is not None and now is not None and (now == before or self.taken == taken):
            self._give_up()
            return
        self._seen = now, self.taken
        self._later(LOOK_S, self._look)


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
