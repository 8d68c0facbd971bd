"""Free ports of 127.0.0.1."""

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

LOOPBACK = "127.0.0.1"
#: From here on ports seldom have an owner by custom.
_FIRST = 10_240
_LAST = 65_535
#: Whoever connects gets a port of these for its own end.
_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """Return `count` different ports that nobody listens on just now.

    None is of those that the kernel gives to outgoing connections: while a service of ours is
    restarted, the port of just anybody's connection could otherwise become its own, and keep it
    from starting. Somebody else may take one before it is used: on "address in use", choose again.
    """
    with ExitStack() as stack:
        chosen: list[int] = []
        for port in _candidates():
            probe = stack.enter_context(socket.socket())
            with suppress(OSError):
                probe.bind((LOOPBACK, port))
                chosen.append(port)
            if len(chosen) == count:
                break
        return chosen


def _candidates() -> Iterator[int]:
    first, last = outgoing_ports()
    everything = range(_FIRST, _LAST + 1)
    # a kernel that gives away all of them leaves no choice
    steady = [port for port in everything if not first <= port <= last] or everything
    return iter(random.sample(steady, len(steady)))


def outgoing_ports() -> tuple[int, int]:
    """Return the first and last port that the kernel gives to outgoing connections."""
    first, last = _OUTGOING.read_text().split()
    return int(first), int(last)


def kept(port: int, fresh: Iterator[int]) -> int:
    """Return `port` while it is free, else the next of `fresh`."""
    return port if is_free(port) else next(fresh)


def is_free(port: int) -> bool:
    """Say whether nobody listens on `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
