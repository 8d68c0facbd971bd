"""The alert that the docs show: an operation on the stream of events that calls a webhook."""

import json
import queue
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from streams import names
from streams.broker import Session
from streams.message import Message
from tests.deployment import deployed
from tests.embedded import ROOT
from tests.rabbit import BrokerNode

_SHOWN = re.compile(r"<!-- run: alert -->\n```json\n(.*?)```", re.DOTALL)


class _Hook(BaseHTTPRequestHandler):
    """Takes what is posted; refuses the first, as one that is just away."""

    taken: "queue.Queue[Any]"
    refused: list[bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.refused:
            self.refused.append(body)
            self.send_error(503)
            return
        self.taken.put(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hook() -> Iterator[tuple[str, "queue.Queue[Any]"]]:
    """A webhook's address, and what it took."""
    taken = queue.Queue[Any]()
    handler = type("Hook", (_Hook,), {"taken": taken, "refused": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", taken
    server.shutdown()
    server.server_close()


def test_whoever_is_to_be_alerted_hears_of_what_fails(
    broker_node: BrokerNode, tmp_path: Path, hook: tuple[str, "queue.Queue[Any]"]
) -> None:
    (shown,) = _SHOWN.findall((ROOT / "docs" / "operating.md").read_text())
    definition = json.loads(shown)["definition"]
    definition["environment"]["HOOK"] = hook[0]
    with deployed(broker_node, tmp_path) as running:
        # Given the alert at work
        running.operation("alert", "streamboss.events", "alerted", definition, demand="always")
        running.until("running", "alert")
        # When an operation fails whose program isn't there
        running.operation("broken", "in", "out", {"exec": "/no/such/program"}, demand="always")
        # Then the webhook hears why, though it was away at first
        event = hook[1].get(timeout=60)
        # And when a message is given up
        running.operation("picky", "in", "out", {"exec": "exit 3", "retries": 0}, demand="always")
        running.until("running", "picky")
        with Session(running.settings.need_amqp(), name="test") as session:
            session.publish(names.exchange("in"), Message(b"one"))
        given_up = hook[1].get(timeout=60)
    assert (given_up["event"], given_up["operation"]) == ("operation.dead-letters", "picky")
    assert (given_up["more"], given_up["dead_letters"]) == (1, 1)
    assert (event["event"], event["operation"]) == ("operation.state", "broken")
    assert event["to"] == "failed"
    assert event["reason"]
