"""A line that is reset at once is an attempt that failed; pika takes it for its caller's bug.

It raises ValueError through the loop of whoever connects. So it goes with a proxy before a broker
that is away, and with a broker that is just ending.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from pika.adapters.utils.selector_ioloop_adapter import SelectorIOServicesAdapter

_create = SelectorIOServicesAdapter.create_streaming_connection


def _created(
    services: SelectorIOServicesAdapter,
    protocol_factory: Any,
    sock: Any,
    on_done: Callable[[Any], None],
    **options: Any,
) -> Any:
    try:
        return _create(services, protocol_factory, sock, on_done, **options)
    except ValueError as error:  # it has closed the socket
        failed = ConnectionResetError(f"reset at once ({error.__context__ or error})")
        return services.call_later(0, partial(on_done, failed))


def survive_resets() -> None:
    """Have pika report such a line to whoever connects, as it does with one that is refused."""
    SelectorIOServicesAdapter.create_streaming_connection = _created  # type: ignore[method-assign, assignment]
