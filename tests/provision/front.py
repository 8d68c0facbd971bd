"""An EC2 that has its bad days: a proxy before moto, on a port of its own.

It refuses, loses answers, hides new machines, ignores filters, leaves images pending, kills its
client at a chosen request; and it honours client tokens, which moto doesn't.
"""

import os
import re
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

#: Actions that only look.
_READS = ("Describe", "Get", "List")


class Fault(Enum):
    """One way to answer badly."""

    BUSY = auto()  # 503 RequestLimitExceeded, and nothing happened
    HTML = auto()  # 500 with a page that isn't XML, and nothing happened
    FULL = auto()  # InsufficientInstanceCapacity
    REFUSED = auto()  # AuthFailure
    LOST = auto()  # it happened, and the answer is lost
    CUT = auto()  # nothing happened, and the connection breaks


_ERRORS = {
    Fault.BUSY: (503, "RequestLimitExceeded"),
    Fault.FULL: (500, "InsufficientInstanceCapacity"),
    Fault.REFUSED: (401, "AuthFailure"),
}


@dataclass
class Front:
    """What it does; tests change it while it runs."""

    target: tuple[str, int]
    #: faults by action, each used once, first come first served
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    #: by action: it happens only when this is set, or in a minute
    gates: dict[str, threading.Event] = field(default_factory=dict)
    hidden_s: float = 0
    ignores_filters: bool = False
    images_stay_pending: bool = False
    #: (number of a request that changes something, from 1; killed before or after it happens; pid)
    kill: tuple[int, str, int] | None = None
    seen: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    tokens: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    born: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> int:
        """Serve on a free port of 127.0.0.1; return it."""
        front = self

        class Handler(_Handler):
            owner = front

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()

    def take_fault(self, action: str) -> Fault | None:
        """Return the next fault for `action`, if any is left."""
        with self.lock:
            left = self.faults.get(action)
            return left.pop(0) if left else None

    def forward(self, query: dict[str, str], headers: dict[str, str]) -> tuple[int, bytes]:
        """Ask moto; a launch with a known client token gives what it gave before."""
        token = query.get("ClientToken")
        if token is None:
            return self._ask(query, headers)
        with self.lock:
            if token in self.tokens:
                image, body = self.tokens[token]
                same = image == query["ImageId"]
                return (200, body) if same else (400, _error("IdempotentParameterMismatch"))
            status, body = self._ask(query, headers)
            if status == 200:
                self.tokens[token] = (query["ImageId"], body)
            return status, body

    def _ask(self, query: dict[str, str], headers: dict[str, str]) -> tuple[int, bytes]:
        kept = {k: v for k, v in headers.items() if k.lower() not in ("host", "connection")}
        connection = HTTPConnection(*self.target, timeout=30)
        connection.request("GET", "/?" + urlencode(query), headers=kept)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if query["Action"] == "RunInstances":
            for found in re.findall(rb"<instanceId>(i-\w+)<", body):
                self.born[found.decode()] = time.monotonic()
        return answer.status, body

    def is_hidden(self, instance: str) -> bool:
        """Say whether a machine is too young to be shown."""
        return time.monotonic() - self.born.get(instance, float("-inf")) < self.hidden_s

    def kill_at(self, change: int, moment: str) -> None:
        """Kill the client if this is the request and the moment."""
        if self.kill and self.kill[:2] == (change, moment):
            os.kill(self.kill[2], signal.SIGKILL)


class _Handler(BaseHTTPRequestHandler):
    owner: Front
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        front = self.owner
        query = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        action = query.get("Action", "")
        front.seen.append(action)
        number = 0
        if not action.startswith(_READS):
            with front.lock:
                front.changes.append(action)
                number = len(front.changes)
        front.kill_at(number, "before")
        if gate := front.gates.get(action):
            gate.wait(60)
        fault = front.take_fault(action)
        if fault is not None and fault is not Fault.LOST:
            self._fail(fault)
            return
        if front.ignores_filters:
            query = {k: v for k, v in query.items() if not k.startswith("Filter.")}
        if action == "TerminateInstances" and front.is_hidden(query["InstanceId.1"]):
            self._answer(400, _error("InvalidInstanceID.NotFound"))
            return
        status, body = front.forward(query, dict(self.headers))
        front.kill_at(number, "after")
        if fault is Fault.LOST:
            self._break()
        else:
            self._answer(status, _changed(front, action, body))

    def _fail(self, fault: Fault) -> None:
        if fault is Fault.CUT:
            self._break()
        elif fault is Fault.HTML:
            self._answer(500, b"<html><body>oops</body></html>")
        else:
            status, code = _ERRORS[fault]
            self._answer(status, _error(code))

    def _break(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(2)
        self.close_connection = True

    def _answer(self, status: int, body: bytes) -> None:
        with suppress(OSError):  # the client may be dead
            self.send_response(status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _changed(front: Front, action: str, body: bytes) -> bytes:
    if action == "DescribeInstances" and front.hidden_s:
        return _without_the_newest(front, body)
    if action == "DescribeImages" and front.images_stay_pending:
        return body.replace(b"<imageState>available", b"<imageState>pending")
    return body


def _without_the_newest(front: Front, body: bytes) -> bytes:
    """Return a listing without the reservations that are younger than `hidden_s`."""
    text = body.decode()
    parts = re.split(r"(?=<item>\s*<reservationId>)", text)
    shown = [parts[0]]
    for part in parts[1:]:
        found = re.search(r"<instanceId>(i-\w+)<", part)
        young = found and front.is_hidden(found[1])
        end = part.rfind("</reservationSet>")
        shown.append(part[end:] if young and end >= 0 else "" if young else part)
    return "".join(shown).encode()


def _error(code: str) -> bytes:
    return (
        f"<Response><Errors><Error><Code>{code}</Code><Message>on purpose</Message></Error>"
        "</Errors><RequestID>1</RequestID></Response>"
    ).encode()
