"""What becomes of messages and operations when S3, or the way there, fails."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from streams.access import S3Access
from streams.message import OBJECT_REFERENCE, Message
from streams.settings import Settings
from tests.agent.operator.conftest import MakeDesk
from tests.agent.operator.store import MIB, Store, noise, reference
from tests.eventually import eventually
from tests.faults import Fault, FaultyWay, faulty_way
from tests.s3 import S3Server


@pytest.fixture
def way(s3_access: S3Access) -> Iterator[FaultyWay]:
    """A way to S3 that fails as told."""
    with faulty_way(s3_access) as way:
        yield way


@pytest.fixture
def by_way(s3_settings: Settings, way: FaultyWay) -> Settings:
    """Settings of an operator that goes this way."""
    return replace(s3_settings, s3=way.access)


@contextmanager
def frozen(server: S3Server) -> Iterator[None]:
    """Let the server stand still."""
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


def test_an_object_that_is_gone_or_another_one_is_given_up_at_once(
    s3_desk: MakeDesk, store: Store
) -> None:
    # Given references to objects that were removed and replaced, and a bucket that never was
    gone, replaced, shorter = (store.put(key, noise(1000)) for key in ("gone", "new", "short"))
    store.objects.delete(store.bucket, ["gone"])
    store.put("new", noise(999) + b"?")
    store.put("short", noise(999))
    nowhere = replace(reference(gone), bucket="never-was").message()
    # When an operation gets them
    at = s3_desk(exec="cat", retries=5)
    at.publish(gone, b"1", replaced, b"2", shorter, b"3", nowhere, b"4")
    # Then each is a dead letter that says why, as a reference, and the others pass in order
    letters = sorted(at.dead(4), key=lambda m: m.body)
    assert [m.body for m in at.outputs(4)] == [b"1", b"2", b"3", b"4"]
    assert [m.body for m in letters] == sorted(m.body for m in (gone, replaced, shorter, nowhere))
    reasons = " ".join(str(m.headers["x-streamboss-reason"]) for m in letters)
    for piece in ("gone doesn't exist", "new isn't", "short has 999", "'never-was' doesn't exist"):
        assert piece in reasons
    assert {m.content_type for m in letters} == {gone.content_type}
    assert {m.headers["x-streamboss-attempts"] for m in letters} == {0}
    assert at.drain() == 0
    assert at.counters["retried"] == 0


def test_references_that_nobody_should_publish_end_no_operator(
    s3_desk: MakeDesk, store: Store
) -> None:
    # Given names that S3, HTTP or AMQP can't carry, and a content type that only AMQP can
    bodies = [
        b'{"bucket": "b", "key": "\\ud800"}',
        b'{"bucket": "no such name!", "key": "k"}',
        b'{"bucket": "b1", "key": "' + b"k" * 3000 + b'"}',
        b'{"bucket": "bbb", "key": "\\u0000../..//"}',
        b'{"bucket": "bbb", "key": "k", "content_type": "caf\\u00e9"}',
    ]
    at = s3_desk(exec="cat", retries=0)
    at.publish(*[Message(body, content_type=OBJECT_REFERENCE) for body in bodies])
    at.publish(Message(noise(2 * MIB), content_type="image/\u20ac"))
    # Then each is a dead letter at the first attempt, and the operator lives
    assert {m.body for m in at.dead(5)} == set(bodies)
    assert store.content(at.outputs(1)[0]) == noise(2 * MIB)
    assert at.drain() == 0


def test_a_damaged_object_never_reaches_a_program(
    s3_desk: MakeDesk, store: Store, way: FaultyWay, by_way: Settings
) -> None:
    way.inject(Fault(wrong_at=MIB), method="GET", contains="/damaged", times=float("inf"))
    at = s3_desk(exec="tee $HOME/seen", settings=by_way)
    at.publish(store.put("damaged", noise(3 * MIB)))
    (dead,) = at.dead()
    assert "damaged" in dead.headers["x-streamboss-reason"]
    assert not (at.scratch / "seen").exists()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(cut_after=200_000), id="cut"),
        pytest.param(Fault(status=503), id="try again later", marks=pytest.mark.long),
        pytest.param(Fault(cut_answer=True), id="no answer", marks=pytest.mark.long),
    ],
)
def test_a_download_that_is_broken_off_is_taken_up_again(
    s3_desk: MakeDesk, store: Store, way: FaultyWay, by_way: Settings, fault: Fault
) -> None:
    way.inject(fault, method="GET", contains="/key", times=2)
    at = s3_desk(exec="cat", settings=by_way, retries=0)
    content = noise(MIB)
    at.publish(store.put("key", content))
    assert at.outputs(1)[0].body == content
    assert way.count("GET") > 2


@pytest.mark.parametrize("order", ["fifo", "none"])
def test_an_operation_waits_for_an_s3_that_is_away_and_burns_nothing(
    s3_desk: MakeDesk, store: Store, way: FaultyWay, by_way: Settings, order: str
) -> None:
    # Given an S3 that nobody can reach, and messages that need it
    at = s3_desk(exec="cat", settings=by_way, retries=0, order=order)
    messages = [store.put("a", b"1"), Message(b"2"), store.put("b", b"3")]
    with way.refusing():
        at.publish(*messages)
        # Then the operation says so, and what doesn't need it passes where it may
        said = at.until("failed", within_s=30)
        assert said.startswith(f"S3 at {way.access.endpoint_url} can't be reached")
        assert store.bucket not in said  # the same at each try, or each would be an event
        early = [m.body for m in at.outputs(1)] if order == "none" else []
        assert early in ([], [b"2"])
        assert at.waiting("operations.op.dead") == 0
    # When it is back
    bodies = early + [m.body for m in at.outputs(3 - len(early), within_s=60)]
    # Then all is as if nothing had happened
    assert sorted(bodies) == [b"1", b"2", b"3"]
    assert order == "none" or bodies == sorted(bodies)
    at.until("running")
    assert at.drain() == 0
    assert at.waiting() == 0


@pytest.mark.parametrize(
    ("access", "reason"),
    [
        ({"secret_access_key": "wrong"}, "refuses the login"),
        pytest.param({"access_key_id": "nobody"}, "refuses the login", marks=pytest.mark.long),
        ({"access_key_id": None, "secret_access_key": None}, "no login for S3"),
    ],
)
def test_keys_that_are_no_good_fail_the_operation_and_keep_its_messages(
    s3_desk: MakeDesk,
    store: Store,
    s3_settings: Settings,
    access: dict[str, str | None],
    reason: str,
) -> None:
    wrong = replace(s3_settings, s3=replace(s3_settings.s3, **access))
    at = s3_desk(exec="cat", settings=wrong, retries=0)
    at.publish(store.put("a", b"x"), b"y")
    said = at.until("failed")
    assert reason in said
    assert "wrong" not in said
    # and nothing is lost, whether the right keys come or a drain
    if access.get("secret_access_key"):
        at.reach(s3_settings)
        assert [m.body for m in at.outputs(2)] == [b"x", b"y"]
        at.until("running")
    else:
        assert at.drain() == 0
        eventually(lambda: at.waiting() == 2)


def test_an_object_that_is_refused_is_tried_again_and_then_given_up(
    s3_desk: MakeDesk, store: Store, way: FaultyWay, by_way: Settings
) -> None:
    way.inject(Fault(status=403), contains="/secret", times=float("inf"))
    way.inject(Fault(status=403), contains="/soon", times=2)
    at = s3_desk(exec="cat", settings=by_way, retries=2)
    at.publish(store.put("soon", b"1"), store.put("secret", b"2"), b"3")
    (dead,) = at.dead()
    assert [m.body for m in at.outputs(2)] == [b"1", b"3"]
    assert "secret" in dead.headers["x-streamboss-reason"]
    assert dead.headers["x-streamboss-attempts"] == 3
    assert at.drain() == 0
    assert at.counters["retried"] == 0  # the program is not to blame


def test_the_time_that_s3_takes_is_not_the_programs(
    s3_desk: MakeDesk, store: Store, s3_server: S3Server, way: FaultyWay, by_way: Settings
) -> None:
    # Given a program with a second, an object that comes slowly, and a large output
    way.inject(Fault(bytes_per_s=100_000), method="GET", contains="/slow")
    at = s3_desk(exec="cat >&2; head -c 40000000 /dev/zero", settings=by_way, timeout=1, retries=0)
    at.publish(store.put("slow", noise(150_000)))
    # When S3 stands still while the output goes there
    eventually(lambda: way.count("POST") > 0, within_s=30)
    with frozen(s3_server):
        time.sleep(2.5)  # the time is what is tried
    # Then neither counts
    (output,) = at.outputs(1, within_s=90)
    assert reference(output).size == 40_000_000


@pytest.mark.parametrize(
    "refused",
    [
        ("PUT", 404),
        ("POST", 403),
        *(pytest.param(each, marks=pytest.mark.long) for each in [("PUT", 503), ("POST", 503)]),
    ],
)
def test_an_output_that_cannot_be_stored_is_made_again(
    s3_desk: MakeDesk, store: Store, way: FaultyWay, by_way: Settings, refused: tuple[str, int]
) -> None:
    # Given an S3 that takes no parts, or begins no upload
    content = noise(20 * MIB)
    method, status = refused
    way.inject(Fault(status=status), method=method, contains="/outputs/", times=float("inf"))
    at = s3_desk(exec="cat; echo $STREAMBOSS_ATTEMPT >&2", settings=by_way, retries=0)
    at.publish(store.put("a", content), b"small")
    # Then the operation says so, and no attempt is counted
    assert at.until("failed", within_s=30)
    # When it takes them again
    way.heal()
    outputs = at.outputs(2, within_s=60)
    assert store.content(outputs[0]) == content
    assert outputs[1].body == b"small"
    at.until("running")
    assert at.drain() == 0
    assert set(at.logged) == {"1"}
    assert len(store.outputs()) == 1


def test_a_full_disk_keeps_the_message_and_fails_the_operation(
    s3_desk: MakeDesk, store: Store, tmp_path: Path
) -> None:
    at = s3_desk(exec="cat", started=False, retries=0)
    at.limit_files(MIB)
    at.start()
    at.publish(store.put("a", noise(2 * MIB)))
    assert "can't be kept" in at.until("failed")
    assert at.drain() == 0
    eventually(lambda: at.waiting() == 1)


def test_an_operator_killed_while_it_downloads_leaves_no_trace(
    s3_desk: MakeDesk, store: Store, way: FaultyWay, by_way: Settings
) -> None:
    # Given an operator in the middle of a download
    content = noise(2 * MIB)
    way.inject(Fault(bytes_per_s=100_000), method="GET", contains="/key")
    at = s3_desk(exec="tee -a $HOME/seen", settings=by_way)
    at.publish(store.put("key", content))
    eventually(lambda: way.count("GET"))
    # When it is killed
    at.stop()
    # Then the next one gives the program the whole object, which none saw a part of
    at.start()
    (output,) = at.outputs(1)
    assert store.content(output) == content
    assert (at.scratch / "seen").read_bytes() == content
    assert at.drain() == 0


def test_an_operator_killed_while_it_uploads_publishes_nothing_of_it(
    s3_desk: MakeDesk, store: Store, s3_server: S3Server, tmp_path: Path
) -> None:
    # Given an operator in the middle of an output
    gate = tmp_path / "gate"
    at = s3_desk(exec=f"cat; [ -e {gate} ] || sleep 100")
    content = noise(20 * MIB)
    at.publish(store.put("key", content))
    eventually(lambda: s3_server.unfinished(store.bucket))
    # When it is killed
    at.stop()
    gate.touch()
    # Then the next one makes the whole of it
    at.start()
    (output,) = at.outputs(1)
    assert store.content(output) == content
    assert at.drain() == 0
    assert len(store.outputs()) == 1
    # and what was begun is left to the sweep
    assert len(s3_server.unfinished(store.bucket)) == 1


def test_an_operator_told_to_stop_undoes_the_upload_that_it_began(
    s3_desk: MakeDesk, store: Store, s3_server: S3Server
) -> None:
    at = s3_desk(exec="head -c 30000000 /dev/zero; sleep 100")
    at.publish(b"x")
    eventually(lambda: s3_server.unfinished(store.bucket))
    assert at.drain(0.1) == 0
    assert s3_server.unfinished(store.bucket) == []
    eventually(lambda: at.waiting() == 1)


def test_outputs_do_not_become_objects_where_that_is_switched_off(
    s3_desk: MakeDesk, store: Store, s3_settings: Settings
) -> None:
    off = replace(s3_settings, object_threshold_bytes=0)
    at = s3_desk(exec="head -c $(cat) /dev/zero", settings=off, retries=0)
    at.publish(Message(b"5000000", content_type="text/plain"), b"67108865")
    assert len(at.outputs(1)[0].body) == 5_000_000
    assert "STREAMBOSS_OBJECT_THRESHOLD" in at.dead()[0].headers["x-streamboss-reason"]
    assert store.outputs() == []


def test_without_s3_an_output_over_64_mib_is_a_dead_letter_that_says_so(desk: MakeDesk) -> None:
    at = desk(exec="head -c 67108865 /dev/zero", retries=0)
    at.publish(b"x")
    assert "objects need S3" in at.dead()[0].headers["x-streamboss-reason"]
