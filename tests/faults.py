"""A way to S3 that fails as told: refused, 503, mute, cut, crawling, wrong bytes.

It carries one request a connection, and looks no further into them than where a head ends.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from streams.access import S3Access

_AT_ONCE = 64 * 1024
_END_OF_HEAD = b"\r\n\r\n"
_CODES = {403: "AccessDenied", 404: "NoSuchBucket"}


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a request. Without anything set it is only counted."""

    #: answered with this status, without asking S3
    status: int | None = None
    #: never answered
    mute: bool = False
    #: the connection is cut after so many bytes of the answer's body
    cut_after: int | None = None
    #: the connection is cut after so many bytes of the request's body
    cut_request_after: int | None = None
    #: the connection is cut when S3 did what was asked, before a byte of its answer
    cut_answer: bool = False
    #: the answer's body comes no faster
    bytes_per_s: int | None = None
    #: the request's body is taken no faster
    request_bytes_per_s: int | None = None
    #: this byte of the answer's body is another one
    wrong_at: int | None = None


@dataclass
class _Rule:
    fault: Fault
    method: str | None
    contains: str
    left: float

    def takes(self, method: str, path: str) -> bool:
        return self.left > 0 and self.method in {None, method} and self.contains in path


@dataclass
class FaultyWay:
    """A proxy in front of an S3 server; `access` is the server seen through it."""

    server: S3Access
    requests: list[str] = field(default_factory=list)
    _rules: list[_Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _listener: socket.socket = field(init=False)
    _open: set[socket.socket] = field(default_factory=set)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._listen(0)
        self._port = self._listener.getsockname()[1]

    @property
    def access(self) -> S3Access:
        """How to reach the server through this proxy."""
        return replace(self.server, endpoint_url=f"http://127.0.0.1:{self._port}")

    def inject(
        self, fault: Fault, *, method: str | None = None, contains: str = "", times: float = 1
    ) -> None:
        """Have the next `times` requests fail so that have this method and text in the path."""
        with self._lock:
            self._rules.append(_Rule(fault, method, contains, times))

    def heal(self) -> None:
        """Let everything pass from now on."""
        with self._lock:
            self._rules.clear()

    def count(self, beginning: str) -> int:
        """Return how many requests began so: "GET", "PUT /bucket/key"."""
        with self._lock:
            return sum(request.startswith(beginning) for request in self.requests)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Let nobody connect for the length of a `with` block; who is connected is cut."""
        self.close()
        yield
        self.listen()

    def listen(self) -> None:
        """Let everybody connect; again, after `close`."""
        if self._ended.is_set():
            self._ended = threading.Event()
            self._listen(self._port)

    def close(self) -> None:
        """Stop listening and cut everybody off."""
        self._ended.set()
        # a thread in accept() would keep the port open behind a mere close()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _listen(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), self._held(client):
            head, rest = _head(client)
            method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
            fault = self._fault_of(method, path)
            if fault.mute:
                self._ended.wait()
            elif fault.status:
                client.sendall(_refusal(fault.status))
                _drain(client)
            else:
                self._carry(client, head, rest, fault)

    def _fault_of(self, method: str, path: str) -> Fault:
        with self._lock:
            self.requests.append(f"{method} {path}")
            for rule in self._rules:
                if rule.takes(method, path):
                    rule.left -= 1
                    return rule.fault
        return Fault()

    def _carry(self, client: socket.socket, head: bytes, rest: bytes, fault: Fault) -> None:
        address = urlsplit(self.server.endpoint_url or "")
        with self._held(socket.create_connection((address.hostname, address.port))) as server:
            # not signed; so one connection carries one request
            server.sendall(head.removesuffix(b"\r\n") + b"Connection: close\r\n\r\n")
            up = threading.Thread(
                target=self._carry_up, args=[client, server, rest, fault], daemon=True
            )
            up.start()
            self._carry_down(server, client, fault)

    def _carry_up(
        self, client: socket.socket, server: socket.socket, rest: bytes, fault: Fault
    ) -> None:
        carried, piece = 0, rest
        with suppress(OSError):
            while piece or (piece := client.recv(_AT_ONCE)):
                carried += len(piece)
                if fault.cut_request_after is not None and carried > fault.cut_request_after:
                    _cut(client, server)
                    return
                server.sendall(piece)
                if fault.request_bytes_per_s:
                    self._ended.wait(len(piece) / fault.request_bytes_per_s)
                piece = b""

    def _carry_down(self, server: socket.socket, client: socket.socket, fault: Fault) -> None:
        head, piece = _head(server)
        while head.startswith(b"HTTP/1.1 100"):
            client.sendall(head)
            head, piece = _head(server, piece)
        if fault.cut_answer:
            _cut(client, server)
            return
        client.sendall(head)
        carried = 0
        for body in _pieces(server, piece, fault):
            client.sendall(_spoiled(body, carried, fault))
            carried += len(body)
            if fault.cut_after is not None and carried >= fault.cut_after:
                _cut(client, server)
                return
            if fault.bytes_per_s and self._ended.wait(len(body) / fault.bytes_per_s):
                return

    @contextmanager
    def _held(self, connection: socket.socket) -> Iterator[socket.socket]:
        with connection:
            with self._lock:
                self._open.add(connection)
            try:
                yield connection
            finally:
                with self._lock:
                    self._open.discard(connection)


@contextmanager
def faulty_way(server: S3Access) -> Iterator[FaultyWay]:
    """Run a proxy before `server` for the length of a `with` block."""
    way = FaultyWay(server)
    try:
        yield way
    finally:
        way.close()


def _head(connection: socket.socket, begun: bytes = b"") -> tuple[bytes, bytes]:
    """Return a head with its empty line, and what came behind it."""
    data = begun
    while _END_OF_HEAD not in data:
        piece = connection.recv(_AT_ONCE)
        if not piece:
            raise ConnectionError
        data += piece
    head, _, rest = data.partition(_END_OF_HEAD)
    return head + _END_OF_HEAD, rest


def _pieces(server: socket.socket, begun: bytes, fault: Fault) -> Iterator[bytes]:
    """Give the answer's body, in pieces of a tenth of a second where it is slowed down."""
    at_once = max(1, fault.bytes_per_s // 10) if fault.bytes_per_s else _AT_ONCE
    while piece := begun[:at_once] or server.recv(at_once):
        begun = begun[at_once:]
        yield piece


def _spoiled(piece: bytes, carried: int, fault: Fault) -> bytes:
    """Return the piece as it is passed on, `carried` bytes after the body's beginning."""
    if fault.cut_after is not None:
        piece = piece[: max(0, fault.cut_after - carried)]
    if fault.wrong_at is not None and carried <= fault.wrong_at < carried + len(piece):
        at = fault.wrong_at - carried
        piece = piece[:at] + bytes([piece[at] ^ 1]) + piece[at + 1 :]
    return piece


def _refusal(status: int) -> bytes:
    code = _CODES.get(status, "SlowDown")
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No.</Message></Error>"
    head = f"HTTP/1.1 {status} No\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def _drain(client: socket.socket) -> None:
    """Read what is still sent, or closing would reset the connection and take the answer along."""
    client.shutdown(socket.SHUT_WR)
    deadline = time.monotonic() + 5
    client.settimeout(1)
    while client.recv(_AT_ONCE) and time.monotonic() < deadline:
        pass


def _cut(*connections: socket.socket) -> None:
    for connection in connections:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
