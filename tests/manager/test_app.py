"""The manager as a process, and what it does while its broker or database is away."""

import base64
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from manager.app import listening
from manager.store import Store
from streams.errors import SettingsError
from streams.settings import Settings
from tests.eventually import eventually
from tests.manager.databases import create_database
from tests.manager.serving import ADMIN, Api, serving
from tests.rabbit import BrokerNode

ROOT = Path(__file__).resolve().parent.parent.parent
RUN = """
import os, pathlib
from manager.app import run
from streams.settings import Settings
run(Settings.load(os.environ, pathlib.Path.cwd()))
"""
NOBODY_THERE = Settings(
    amqp_urls=("amqp://x:secret@127.0.0.1:1/",), broker_api_url="http://127.0.0.1:1"
)


@dataclass(frozen=True)
class Process:
    """A running manager."""

    process: subprocess.Popen[str]
    url: str

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, auth=ADMIN, trust_env=False, timeout=30)


@contextmanager
def running(settings: Settings, database_url: str, folder: Path) -> Iterator[Process]:
    """Run a manager; kill it at the end of the block if it still runs."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "STREAMBOSS_AMQP_URL": ",".join(settings.amqp_urls),
        "STREAMBOSS_BROKER_API_URL": settings.broker_api_url or "",
        "STREAMBOSS_DATABASE_URL": database_url,
        "STREAMBOSS_USER": ADMIN[0],
        "STREAMBOSS_PASSWORD": ADMIN[1],
    }
    with subprocess.Popen(
        [sys.executable, "-c", RUN], env=environment, cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("manager: http://127.0.0.1:"), line
            yield Process(process, line.removeprefix("manager: ").strip())
        finally:
            process.kill()


def test_sigterm_ends_it_with_0_and_lets_another_lead(
    settings: Settings, sqlite_url: str, tmp_path: Path
) -> None:
    with running(settings, sqlite_url, tmp_path) as manager:
        eventually(lambda: manager.get("/readyz").status_code == 200)
        manager.process.send_signal(signal.SIGTERM)
        assert manager.process.wait(15) == 0
    store = Store(sqlite_url)
    term = store.lease_take("next")
    assert term is not None
    assert term >= 2
    store.close()


def test_a_request_at_hand_is_answered_before_the_end(
    settings: Settings, sqlite_url: str, tmp_path: Path
) -> None:
    with running(settings, sqlite_url, tmp_path) as manager:
        assert manager.get("/api/streams/").status_code == 200  # logs in; later it is quick
        parts = urlsplit(manager.url)
        login = base64.b64encode(":".join(ADMIN).encode()).decode()
        head = "POST /api/process_definition/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
        with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
            connection.sendall(f"{head}Authorization: Basic {login}\r\n\r\n{{".encode())
            time.sleep(0.2)  # let the server begin with it: what hasn't begun may be dropped
            manager.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            connection.sendall(b"}")
            assert connection.recv(100).startswith(b"HTTP/1.1 422")
        assert manager.process.wait(15) == 0


def test_a_restart_after_sigkill_knows_all_and_leads_at_once(
    settings: Settings, sqlite_url: str, tmp_path: Path
) -> None:
    with running(settings, sqlite_url, tmp_path) as manager:
        url = f"{manager.url}/api/streams/"
        body = {"name": "a"}
        assert httpx.post(url, json=body, auth=ADMIN, trust_env=False).status_code == 201
        eventually(lambda: manager.get("/readyz").status_code == 200)
        manager.process.kill()
        manager.process.wait()
    with running(settings, sqlite_url, tmp_path) as manager:
        assert manager.get("/api/streams/a/").status_code == 200
        rival = Store(sqlite_url)
        eventually(lambda: rival.lease_take("rival") is None, within_s=5)
        rival.close()


def test_without_a_broker_it_serves_what_it_can(sqlite_url: str) -> None:
    with serving(NOBODY_THERE, sqlite_url) as api:
        assert api.get("/healthz").status_code == 200
        assert api.get("/api/operations/").status_code == 200
        answer = api.get("/readyz")
        assert answer.status_code == 503
        assert any("broker" in problem for problem in answer.json()["problems"])
        before = time.monotonic()
        answer = api.post("/api/streams/", {"name": "a"})
        assert time.monotonic() - before < 20
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert answer.headers["content-type"] == "application/problem+json"
        assert "secret" not in answer.text
        assert api.get("/api/streams/a/").status_code == 404


def test_it_recovers_by_itself_when_the_broker_comes_back(
    broker_node: BrokerNode, settings: Settings, sqlite_url: str
) -> None:
    with serving(settings, sqlite_url) as api:
        assert api.post("/api/streams/", {"name": "a"}).status_code == 201
        broker_node.kill()
        try:
            assert api.post("/api/streams/", {"name": "b"}).status_code == 503
            assert api.get("/api/streams/a/").status_code == 200
        finally:
            broker_node.start()
        eventually(lambda: api.post("/api/streams/", {"name": "b"}).status_code == 201, within_s=30)
        eventually(lambda: api.get("/readyz").status_code == 200, within_s=30)


def test_it_recovers_by_itself_when_the_database_comes(settings: Settings, postgres: str) -> None:
    with serving(settings, f"postgresql://streamboss@/late?{postgres}") as api:
        answer = api.get("/api/streams/")
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert api.get("/healthz").status_code == 200
        create_database(postgres, "late")
        eventually(lambda: api.get("/api/streams/").status_code == 200)


def test_two_managers_on_one_postgresql_serve_the_same(
    settings: Settings, postgres_url: str
) -> None:
    with serving(settings, postgres_url) as one, serving(settings, postgres_url) as other:
        assert one.post("/api/streams/", {"name": "a"}).status_code == 201
        assert other.get("/api/streams/a/").status_code == 200
        for api in (one, other):  # one leads, and both are ready
            eventually(partial(_is_ready, api))


def _is_ready(api: Api) -> bool:
    return api.get("/readyz").status_code == 200


def test_who_sends_no_whole_request_is_hung_up_on(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("manager.patience.HEAD_S", 0.3)
    host, port = api.url.removeprefix("http://").split(":")
    whole = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    # Given somebody who is silent, one who sends half a head, one who does so after a request
    for begun, answers in ((b"", b""), (whole[:-4], b""), (whole + whole[:-4], b"HTTP/1.1 200 OK")):
        with socket.create_connection((host, int(port)), timeout=20) as line:
            line.sendall(begun)
            got = b"".join(iter(lambda: line.recv(65_536), b""))  # until it is closed
        assert got.startswith(answers)
        assert bool(got) is bool(answers)
    # Then whoever asks in time is answered
    assert api.get("/healthz").status_code == 200


def test_a_taken_port_is_said_and_without_one_another_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port}.*in use.*--port"):
            listening("127.0.0.1", port)
    with listening("127.0.0.1", None) as one, listening("127.0.0.1", None) as other:
        assert one.getsockname() != other.getsockname()
    with pytest.raises(SettingsError, match=r"can't listen on 192\.0\.2\.1"):
        listening("192.0.2.1", 0)
