"""Archives as people type them: a manager, an archiver beside it, a real S3."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from manager.store import Store
from streams.broker import Session
from streams.message import Message
from streams.settings import Settings
from tests.eventually import eventually
from tests.manager.archiver.recording import Recording
from tests.manager.serving import Api, serving
from tests.s3 import S3Server
from tests.tools.typist import Typist


@dataclass
class Desk:
    """Somebody who types, and what is behind it."""

    typist: Typist
    api: Api
    recording: Recording

    def archive(self) -> dict[str, object]:
        """Return the one archive, as `archives --json` shows it."""
        shown: dict[str, object] = json.loads(self.typist.must("archives", "--json"))
        return shown


@pytest.fixture
def desk(
    s3_settings: Settings, s3_server: S3Server, session: Session, tmp_path: Path
) -> Iterator[Desk]:
    url = f"sqlite:///{tmp_path}/manager.db"
    with serving(s3_settings, url) as api:
        store = Store(url)
        recording = Recording(s3_settings, s3_server, store, session, tmp_path)
        yield Desk(Typist.at(api.url, tmp_path), api, recording)
        recording.stop()
        store.close()


def test_an_archive_from_its_beginning_to_its_end(desk: Desk) -> None:
    desk.typist.must("create-stream", "mystream")
    place = f"s3://{desk.recording.bucket}/archives/mystream/"
    begun = desk.typist.run("archive-stream", "mystream")
    assert (begun.returncode, begun.stdout) == (0, f"{place}\n")
    assert "'streamboss stop-archiving-stream mystream' ends that" in begun.stderr
    desk.recording.archiver()
    desk.recording.publish("mystream", [Message(b"%d" % n) for n in range(20)])
    done = desk.typist.run("stop-archiving-stream", "mystream")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert f"20 messages in {place}" in done.stderr
    assert [r.body for r in desk.recording.records("mystream")] == [b"%d" % n for n in range(20)]
    shown = desk.archive()
    assert (shown["state"], shown["messages"], shown["segments"]) == ("stopped", 20, 1)
    assert shown["first_at"] == shown["last_at"] or str(shown["first_at"]) < str(shown["last_at"])
    desk.typist.must("archive-stream", "mystream")
    desk.recording.publish("mystream", [Message(b"20")])
    desk.typist.must("stop-archiving-stream", "mystream")
    assert desk.archive()["messages"] == 21
    desk.typist.must("remove-stream", "mystream", "--yes")
    assert desk.typist.run("archives").stderr.startswith("no archives:")
    assert len(desk.recording.keys("mystream")) == 2


def test_while_nobody_archives_the_end_waits_and_says_so(desk: Desk) -> None:
    desk.typist.must("create-stream", "s")
    desk.typist.must("archive-stream", "s", "--keep", "30d", "--passive")
    desk.recording.publish("s", [Message(b"x")])
    shown = desk.archive()
    assert (shown["state"], shown["keep_days"], shown["passive"]) == ("waiting", 30, True)
    done = desk.typist.run("stop-archiving-stream", "s", "--timeout", "0.5")
    assert done.returncode == 1
    assert "streamboss manager --role archiver" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    desk.recording.archiver()
    eventually(lambda: desk.archive()["state"] == "stopped", what="it goes on by itself")
    assert desk.archive()["messages"] == 1


def test_what_cannot_be_is_said_in_a_line(desk: Desk) -> None:
    for words, status, text in (
        (("archive-stream", "none"), 1, "no stream 'none'"),
        (("archive-stream", "none", "--keep", "30"), 2, "an age like 30d, 12h or 2w"),
        (("archive-stream", "none", "--keep", "0d"), 2, "an age like 30d"),
        (("stop-archiving-stream", "none"), 1, "'none' has no archive"),
    ):
        done = desk.typist.run(*words)
        assert (done.returncode, done.stdout) == (status, "")
        assert text in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_pipelines_file_names_archives(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text("archives: [{stream: a, keep_days: 7}, {stream: b}]\n")
    done = desk.typist.run("apply", "pipeline.yaml", "--yes")
    assert done.returncode == 0, done.stderr
    assert "+ stream a" in done.stdout
    assert "+ archive a" in done.stdout
    again = desk.typist.run("apply", "pipeline.yaml", "--yes")
    assert "+" not in again.stdout
    assert "= archive b" in again.stdout
    file.write_text("archives: [{stream: a, passive: true}]\n")
    changed = desk.typist.run("apply", "pipeline.yaml", "--yes")
    assert "~ archive a\n    passive: false -> true" in changed.stdout
    assert desk.api.get("/api/streams/a/archive/").json()["keep_days"] == 7
    alone = json.loads(desk.typist.must("archives", "a", "--json"))
    assert (alone["stream"], alone["passive"]) == ("a", True)
    exported = desk.typist.must("export")
    file.write_text(exported)
    assert "archives:\n- stream: a\n  passive: true\n  keep_days: 7" in exported
    unchanged = desk.typist.run("apply", "pipeline.yaml", "--yes")
    assert {line[0] for line in unchanged.stdout.splitlines()} == {"="}, unchanged.stdout
