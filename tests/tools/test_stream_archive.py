"""`stream-archive`, as people and scripts use it, on a real broker and a real S3 server."""

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streams.broker import Session
from streams.settings import Settings
from tests.eventually import eventually
from tests.manager.replays.playing import START_US, Archive, Collector, numbered, segment_of
from tests.tools.typist import ROOT, Typist, words
from tools.stack.ports import free_ports

DEADLINE_S = 30.0
Tool = Callable[..., "subprocess.Popen[str]"]


def environment_of(settings: Settings, folder: Path) -> dict[str, str]:
    """Return what leads a command to broker and S3, and to nothing else."""
    access = settings.s3
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
        "STREAMBOSS_AMQP_URL": settings.need_amqp()[0],
        "STREAMBOSS_BUCKET": settings.need_bucket(),
        "AWS_ENDPOINT_URL_S3": access.endpoint_url or "",
        "AWS_ACCESS_KEY_ID": access.access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": access.secret_access_key or "",
        "AWS_REGION": access.region or "",
    }


@pytest.fixture
def archive(s3_settings: Settings) -> Archive:
    """An archive of `s` with 30 messages in three segments."""
    archive = Archive(s3_settings)
    for start in (0, 10, 20):
        archive.add(numbered(*range(start, start + 10)))
    return archive


@pytest.fixture
def collector(session: Session) -> Collector:
    """Whoever collects the stream `s`."""
    return Collector(session, "s")


@pytest.fixture
def tool(archive: Archive, collector: Collector, tmp_path: Path) -> Iterator[Tool]:
    """Start `stream-archive s` with more arguments, and more of an environment."""
    environment = environment_of(archive.settings, tmp_path)
    with ExitStack() as stack:

        def start(*arguments: str, **more: str) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    words("stream-archive", *arguments),
                    cwd=tmp_path,
                    env={**environment, **more},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            return process

        yield start


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Wait for a command; return its exit status, stdout and stderr."""
    out, err = process.communicate(timeout=DEADLINE_S)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def at(second: float) -> str:
    """Return a time so long after the archive's start."""
    return datetime.fromtimestamp(START_US / 1e6 + second, UTC).isoformat()


def test_an_archive_is_played_onto_its_stream(tool: Tool, collector: Collector) -> None:
    status, out, err = ended(tool("s"))
    assert (status, out) == (0, "")
    assert "30 messages of 's' replayed onto 's'" in err
    assert collector.numbers() == list(range(30))


def test_json_says_what_became_of_it(tool: Tool, collector: Collector) -> None:
    status, out, _ = ended(tool("s", "--json", "--from", at(5), "--to", at(14)))
    summary = json.loads(out)
    assert status == 0
    assert (summary["messages"], summary["complete"], summary["resume"]) == (10, True, None)
    came = collector.take()
    assert [int(message.body) for message in came] == list(range(5, 15))
    assert {message.headers["x-streamboss-replay"] for message in came} == {summary["replay"]}


def test_a_dry_run_counts_and_publishes_nothing(tool: Tool, collector: Collector) -> None:
    process = tool("s", "--dry-run", "--json", "--from", at(8.5), STREAMBOSS_AMQP_URL="")
    status, out, _ = ended(process)
    found = json.loads(out)
    assert (status, found["messages"]) == (0, 21)
    assert datetime.fromisoformat(found["first"]) == datetime.fromisoformat(at(9))
    assert datetime.fromisoformat(found["last"]) == datetime.fromisoformat(at(29))
    assert collector.numbers() == []


def test_an_interrupt_pauses_and_the_printed_command_goes_on(
    tool: Tool, collector: Collector
) -> None:
    process = tool("s", "--speed", "20/s")
    seen = list[int]()
    while len(seen) < 3:
        seen += eventually(collector.numbers, what="a few messages came")
    process.send_signal(signal.SIGINT)
    status, _, err = ended(process)
    assert status == 130
    program, command, *arguments = shlex.split(err.splitlines()[-1])
    assert (program, command) == ("streamboss", "stream-archive")
    assert ended(tool(*[word.replace("20/s", "max") for word in arguments]))[0] == 0
    seen += collector.numbers()
    assert seen == list(range(30))


def test_a_damaged_segment_is_named_and_the_status_is_1(
    tool: Tool, archive: Archive, collector: Collector
) -> None:
    damaged = archive.add(numbered(10))
    archive.objects.put(archive.bucket, damaged.key, segment_of(numbered(10))[:-30])
    status, _, err = ended(tool("s"))
    assert status == 1
    assert damaged.key in err
    assert collector.numbers() == [*range(10), *range(20, 30)]


def _refuse(process: "subprocess.Popen[str]", *texts: str) -> None:
    """See that a command says in one line what is wrong, and ends with 1."""
    status, out, err = ended(process)
    assert (status, out) == (1, "")
    (line,) = err.splitlines()
    for text in texts:
        assert text in line


def test_what_cant_be_replayed_is_said_in_a_line_and_nothing_is_published(
    tool: Tool, collector: Collector, session: Session
) -> None:
    (nobody,) = free_ports(1)
    Collector(session, "empty")
    _refuse(tool("s", "--from", at(10), "--to", at(5)), "--from", "is after --to")
    _refuse(tool("empty"), "'empty' has no archive", "streamboss archive-stream empty")
    _refuse(tool("s", "--onto", "missing"), "'streamboss create-stream missing' creates it")
    _refuse(tool("s", STREAMBOSS_BUCKET=""), "STREAMBOSS_BUCKET is not set")
    _refuse(tool("s", STREAMBOSS_BUCKET="no-such-bucket"), "no-such-bucket", "doesn't exist")
    _refuse(tool("s", AWS_SECRET_ACCESS_KEY="wrong"), "AWS_SECRET_ACCESS_KEY")
    away = f"http://127.0.0.1:{nobody}"
    _refuse(tool("s", AWS_ENDPOINT_URL_S3=away), away, "can't be reached")
    _refuse(tool("s", STREAMBOSS_AMQP_URL=f"amqp://127.0.0.1:{nobody}"), "broker")
    assert collector.numbers() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("s", "--from", "soon"),
        ("s", "--speed", "fast"),
        ("s", "--limit", "0"),
        ("s", "--resume", "nonsense"),
    ],
)
def test_wrong_usage_is_2(tool: Tool, arguments: tuple[str, ...]) -> None:
    process = tool(*arguments)
    assert process.communicate(timeout=DEADLINE_S)[1]
    assert process.returncode == 2


def test_a_terminal_shows_how_far_it_is(
    archive: Archive, tmp_path: Path, collector: Collector
) -> None:
    person = Typist(tmp_path, environment_of(archive.settings, tmp_path))
    done = person.on_terminal("stream-archive", "s")
    assert done.returncode == 0
    assert "30 messages" in done.stdout
    assert "100%" in done.stdout or "/s" in done.stdout
