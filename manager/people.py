"""People's own users of the broker: who may publish on which streams, and consume which.

The broker keeps these rights, and nobody else: so what is shown is what holds.
"""

import re
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from manager import permissions
from streams import names
from streams.management import Management

_PASSWORD_BYTES = 24


@dataclass(frozen=True, slots=True)
class StreamRights:
    """The streams on which somebody may publish, and those that they may consume."""

    publish: tuple[str, ...] = ()
    consume: tuple[str, ...] = ()

    def without(self, stream: str) -> "StreamRights":
        """Return what is left when a stream is gone."""
        return StreamRights(
            tuple(name for name in self.publish if name != stream),
            tuple(name for name in self.consume if name != stream),
        )


class People:
    """Blocking calls for any thread; each raises BrokerError when the broker is away or refuses."""

    def __init__(
        self, management: Management, joining: Callable[[str, str], Mapping[str, Any]]
    ) -> None:
        """`joining` tells how a broker user with this name and password reaches the broker."""
        self._management, self._joining = management, joining

    def allow(self, name: str, rights: StreamRights) -> Mapping[str, Any]:
        """Let somebody do this, and no more, with a new password; return how they connect."""
        user, password = permissions.person_user(name), secrets.token_urlsafe(_PASSWORD_BYTES)
        self._management.put_user(user, password)
        self._put(name, rights)
        return self._joining(user, password)

    def forbid(self, name: str) -> None:
        """Delete somebody's broker user, which closes its connections; it may be gone already."""
        self._management.delete_user(permissions.person_user(name))

    def rights(self, name: str) -> StreamRights:
        """Return what somebody may do; nothing if they have no broker user."""
        return dict(self._all()).get(name, StreamRights())

    def forget_stream(self, stream: str) -> None:
        """Take away all rights to a stream that is gone: another one of that name isn't it."""
        for name, rights in self._all():
            if stream in {*rights.publish, *rights.consume}:
                self._put(name, rights.without(stream))

    def _put(self, name: str, rights: StreamRights) -> None:
        wanted = permissions.person_rights(name, rights.publish, rights.consume)
        self._management.put_permissions(permissions.person_user(name), **wanted)

    def _all(self) -> Iterator[tuple[str, StreamRights]]:
        exchanges = self._management.exchange_names()
        for item in self._management.permissions():
            name = permissions.person_of(item["user"])
            if name is not None:
                publish = _matching(item["write"], exchanges)
                yield name, StreamRights(publish, _matching(item["read"], exchanges))


def _matching(pattern: str, exchanges: Collection[str]) -> tuple[str, ...]:
    """Return the streams whose exchanges a pattern of ours allows."""
    found = (names.stream_of(name) for name in exchanges if re.fullmatch(pattern, name))
    return tuple(sorted(filter(None, found)))
