"""`stream-archive --detach` and `replays`, as people type them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from manager.replays.replayer import Replayer
from streams.broker import Session
from streams.settings import Settings
from tests.eventually import eventually
from tests.manager.replays.playing import Archive, Collector, numbered
from tests.manager.serving import Api, serving
from tests.tools.typist import Typist


@dataclass
class Desk:
    """Somebody who types, and what is behind it."""

    typist: Typist
    api: Api

    def replay(self) -> dict[str, object]:
        """Return the one replay, as `replays --json` shows it."""
        shown: dict[str, object] = json.loads(self.typist.must("replays", "--json"))
        return shown


@pytest.fixture
def desk(s3_settings: Settings, tmp_path: Path) -> Iterator[Desk]:
    """A manager that knows the stream `s`, whose archive has 400 messages; nobody plays yet."""
    Archive(s3_settings).add(numbered(*range(400)))
    with serving(s3_settings, f"sqlite:///{tmp_path}/manager.db") as api:
        assert api.post("/api/streams/", {"name": "s"}).status_code == 201
        yield Desk(Typist.at(api.url, tmp_path), api)


@pytest.fixture
def replayer(desk: Desk) -> Iterator[Replayer]:
    """A replayer at work."""
    replayer = Replayer(desk.api.settings, desk.api.services.store)
    replayer.start()
    yield replayer
    replayer.stop()


def test_a_replay_is_given_away_paused_resumed_and_forgotten(
    desk: Desk, replayer: Replayer, session: Session
) -> None:
    collector, typist = Collector(session, "s"), desk.typist
    assert "starts one" in typist.run("replays").stderr
    given = typist.run("stream-archive", "s", "--detach", "--speed", "50/s", "--limit", "300")
    replay = given.stdout.strip()
    assert "'streamboss replays' shows how far it is" in given.stderr
    eventually(lambda: desk.replay()["messages"], what="it plays")
    assert f"'streamboss replays resume {replay}'" in typist.run("replays", "pause", replay).stderr
    assert desk.replay()["state"] == "paused"
    header, row = typist.must("replays").splitlines()
    assert (header.split("\t")[0], row.split("\t")[0]) == ("id", replay)
    assert typist.run("replays", "resume", replay).returncode == 0
    eventually(lambda: desk.replay()["state"] == "done", what="it is done")
    assert collector.numbers() == list(range(300))
    assert "after 300 messages" in typist.run("replays", "cancel", replay).stderr
    assert typist.must("replays", "--json") == ""


def test_what_the_manager_cant_play_is_said_in_a_line(desk: Desk) -> None:
    for arguments, said in (
        (("stream-archive", "s", "--detach", "--onto", "gone"), "there is no stream 'gone'"),
        (("stream-archive", "gone", "--detach"), "there is no stream 'gone'"),
        (("replays", "pause", "000000000000"), "there is no replay '000000000000'"),
        (("replays", "cancel", "000000000000"), "there is no replay '000000000000'"),
    ):
        done = desk.typist.run(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert said in line
    done = desk.typist.run("stream-archive", "s", "--detach", "--dry-run")
    assert done.returncode == 2
