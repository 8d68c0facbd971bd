"""A line to a server that is delayed, stalled, reset or half open, as told."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_AT_ONCE = 64 * 1024
_LOOK_S = 0.02
_RESET = struct.pack("ii", 1, 0)

Address = tuple[str, int] | str


@dataclass(eq=False, slots=True)
class _Line:
    near: socket.socket
    far: socket.socket
    #: nothing passes any more, and nobody is told
    dead: bool = False


@dataclass(eq=False)
class Wire:
    """Listens on `port` and carries everything to `server`: a host and port, or a socket's path."""

    server: Address
    port: int = field(init=False)
    _lines: list[_Line] = field(default_factory=list)
    _delay_s: float = 0.0
    _stalled: bool = False
    _ended: bool = False

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, way: str, for_s: float) -> None:
        """Begin a fault."""
        match way:
            case "delay":
                self._delay_s = min(for_s / 4, 0.3)
            case "stall":
                self._stalled = True
            case "reset":
                self.reset()
            case "half-open":
                for line in self._lines:
                    line.dead = True

    def mend(self) -> None:
        """End a fault. Lines that are half open stay so: their ends have to find out."""
        self._delay_s, self._stalled = 0.0, False

    def reset(self) -> None:
        """Reset all connections."""
        for line in list(self._lines):  # each one that ends is taken out meanwhile
            _reset(line.near)
            _reset(line.far)

    def close(self) -> None:
        """End all."""
        self._ended = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._open, args=[near], daemon=True).start()

    def _open(self, near: socket.socket) -> None:
        while self._stalled and not self._ended:
            time.sleep(_LOOK_S)
        try:
            far = _connected(self.server)
        except OSError:
            _reset(near)
            near.close()
            return
        line = _Line(near, far)
        self._lines.append(line)
        back = threading.Thread(target=self._carry, args=[far, near, line], daemon=True)
        back.start()
        self._carry(near, far, line)
        back.join()
        self._lines.remove(line)
        near.close()
        far.close()

    def _carry(self, source: socket.socket, target: socket.socket, line: _Line) -> None:
        with suppress(OSError):
            while data := source.recv(_AT_ONCE):
                if self._delay_s:
                    time.sleep(self._delay_s)
                while self._stalled and not self._ended:
                    time.sleep(_LOOK_S)
                if not line.dead:
                    target.sendall(data)
        if line.dead:
            return  # the other end isn't told: it finds out by its heartbeats
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def wires(**servers: Address) -> Iterator[dict[str, Wire]]:
    """Give a wire to each of the named servers for the length of a `with` block."""
    laid = {name: Wire(server) for name, server in servers.items()}
    try:
        yield laid
    finally:
        for wire in laid.values():
            wire.close()


def _connected(server: Address) -> socket.socket:
    if isinstance(server, str):
        made = socket.socket(socket.AF_UNIX)
        made.connect(server)
        return made
    return socket.create_connection(server)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.shutdown(socket.SHUT_RDWR)
