"""The life of an operator process: how it starts, reports, drains and ends. From outside only."""

import json
import re
from pathlib import Path

import pika
import pytest

from agent.protocol import ExitStatus, Start
from streams import names
from streams.control import Assigned, OperatorState
from streams.message import Message
from streams.settings import Settings
from tests.agent.operating import Pipeline, defined, operating, program, text
from tests.eventually import eventually
from tests.rabbit import BrokerNode

SLEEPS = program("sleeps_as_told.sh")
ECHO = {"process_type": "service", "replies": "one"}


@pytest.fixture
def urls(settings: Settings) -> tuple[str, ...]:
    return settings.need_amqp()


def test_a_spare_operator_waits_connected_until_it_is_told_what_to_run(
    urls: tuple[str, ...], tmp_path: Path
) -> None:
    with Pipeline(urls, "op") as pipeline:
        pipeline.publish("a")
        with operating(urls, pipeline, defined("cat"), tmp_path, start=False) as operator:
            assert operator.ready.wait(15)
            assert not operator.reports
            operator.say(
                Start(
                    assigned=Assigned(
                        operation="op",
                        revision=7,
                        definition=defined("cat"),
                        input_stream="op-in",
                        output_stream="op-out",
                    )
                )
            )
            eventually(lambda: pipeline.bodies() == [b"a"])
            eventually(lambda: operator.state is OperatorState.RUNNING)
            assert operator.reports[-1].operation == "op"
            assert operator.reports[-1].revision == 7
            assert operator.drain() == ExitStatus.DRAINED
            assert operator.state is OperatorState.STOPPED


def test_a_drain_finishes_what_was_delivered_and_leaves_the_rest(
    urls: tuple[str, ...], tmp_path: Path
) -> None:
    numbers = [str(number) for number in range(300)]
    with Pipeline(urls, "op") as pipeline:
        pipeline.publish(*(f"0.05 {number}" for number in numbers))
        definition = defined(SLEEPS, concurrency=1)
        with operating(urls, pipeline, definition, tmp_path) as operator:
            eventually(lambda: len(pipeline.outputs()) >= 3)
            assert operator.drain(60) == ExitStatus.DRAINED
        done = pipeline.bodies()
        assert done == [number.encode() for number in numbers[: len(done)]]
        assert len(done) < len(numbers)
        eventually(lambda: pipeline.waiting() == len(numbers) - len(done))


def test_a_drain_that_takes_too_long_gives_the_rest_back(
    urls: tuple[str, ...], tmp_path: Path
) -> None:
    with Pipeline(urls, "op") as pipeline:
        pipeline.publish("0 quick", "300 slow", "0 behind")
        definition = defined(SLEEPS, concurrency=1, timeout=None)
        with operating(urls, pipeline, definition, tmp_path) as operator:
            eventually(lambda: pipeline.bodies() == [b"quick"])
            assert operator.drain(1) == ExitStatus.DRAINED
            eventually(lambda: not operator.programs(), within_s=3)
        eventually(lambda: pipeline.waiting() == 2)
        assert not pipeline.dead()


@pytest.mark.parametrize("fields", [{}, ECHO, {"process_type": "service"}], ids=str)
def test_the_end_of_its_stdin_ends_the_operator_and_all_its_programs(
    urls: tuple[str, ...], tmp_path: Path, fields: dict[str, str]
) -> None:
    with Pipeline(urls, "op") as pipeline:
        pipeline.publish("x")
        definition = defined(program("ignores_sigterm.py"), **fields)
        with operating(urls, pipeline, definition, tmp_path) as operator:
            eventually(operator.programs)
            assert operator.process.stdin is not None
            operator.process.stdin.close()
            assert operator.exit_status() == ExitStatus.AGENT_GONE
            eventually(lambda: not operator.programs(), within_s=3)
        eventually(lambda: pipeline.waiting() == 1)


@pytest.mark.parametrize("fields", [{}, ECHO], ids=str)
def test_a_lost_connection_is_the_end_of_the_operator_and_its_programs(
    broker_node: BrokerNode, urls: tuple[str, ...], tmp_path: Path, fields: dict[str, str]
) -> None:
    # Given an operator with a broker user of its own
    vhost = urls[0].rpartition("/")[2]
    base = urls[0].rpartition("@")[2]
    with broker_node.management(vhost) as management, Pipeline(urls, "op") as pipeline:
        management.put_user("operator", "word")
        management.put_permissions("operator", configure=".*", write=".*", read=".*")
        pipeline.publish("x")
        definition = defined(program("ignores_sigterm.py"), **fields)
        with operating(
            [f"amqp://operator:word@{base}"], pipeline, definition, tmp_path
        ) as operator:
            eventually(operator.programs)
            # When that user is deleted, which closes its connections
            management.delete_user("operator")
            # Then the operator ends with its programs, and the message is back
            assert operator.exit_status() == ExitStatus.LOST_CONNECTION
            eventually(lambda: not operator.programs(), within_s=3)
            assert "word" not in operator.stderr()
        eventually(lambda: pipeline.waiting() == 1)


def test_a_refused_login_ends_the_operator_with_one_clear_line(
    urls: tuple[str, ...], tmp_path: Path
) -> None:
    wrong = urls[0].replace("test:", "test:wrong")
    with (
        Pipeline(urls, "op") as pipeline,
        operating([wrong], pipeline, defined("cat"), tmp_path) as operator,
    ):
        assert operator.exit_status() == ExitStatus.LOST_CONNECTION
        assert "password" in operator.stderr()
        assert wrong not in operator.stderr()
        assert "Traceback" not in operator.stderr()


def test_a_message_that_ended_its_operator_six_times_is_a_dead_letter(
    urls: tuple[str, ...], tmp_path: Path
) -> None:
    with Pipeline(urls, "op") as pipeline:
        # Given a message that was delivered six times already
        pipeline.publish("culprit")
        for _ in range(6):
            pipeline.session.call(_deliver_and_return)
        pipeline.publish("neighbour")
        # When an operator takes it
        with operating(urls, pipeline, defined("cat"), tmp_path) as operator:
            eventually(pipeline.dead)
            eventually(lambda: pipeline.bodies() == [b"neighbour"])
            assert operator.drain() == ExitStatus.DRAINED
        # Then it is given up without another attempt
        (letter,) = pipeline.dead()
        assert letter.body == b"culprit"
        assert "ended its operator" in letter.headers["x-streamboss-reason"]


def _deliver_and_return(channel: pika.adapters.blocking_connection.BlockingChannel) -> None:
    queue = names.operation_queue("op")
    method = eventually(lambda: channel.basic_get(queue)[0])
    assert method is not None
    channel.basic_nack(method.delivery_tag, requeue=True)


def test_a_dead_letter_of_a_message_with_huge_headers_drops_foreign_ones_first(
    urls: tuple[str, ...], tmp_path: Path
) -> None:
    headers = {"small": "kept?", **{f"h{number}": "v" * 10_000 for number in range(6)}}
    with Pipeline(urls, "op") as pipeline:
        pipeline.publish(Message(b"x", content_type="image/png", headers=headers), text("y"))
        definition = defined(program("floods_stderr.py") + "; exit 65", concurrency=1)
        with operating(urls, pipeline, definition, tmp_path) as operator:
            eventually(lambda: len(pipeline.dead()) == 2)
            assert operator.drain() == ExitStatus.DRAINED
        letter = pipeline.dead()[0]
        assert letter.body == b"x"
        assert letter.content_type == "image/png"
        assert letter.headers["x-streamboss-stderr"].endswith("the last words")
        assert len(json.dumps(dict(letter.headers))) < 65_536


def test_large_headers_go_through_an_operation(urls: tuple[str, ...], tmp_path: Path) -> None:
    headers = {f"h{number}": "v" * 10_000 for number in range(6)}
    with Pipeline(urls, "op") as pipeline:
        pipeline.publish(Message(b"x", headers=headers))
        with operating(urls, pipeline, defined("cat"), tmp_path) as operator:
            eventually(pipeline.outputs)
            assert operator.drain() == ExitStatus.DRAINED
        assert pipeline.outputs()[0].headers["h5"] == "v" * 10_000


@pytest.mark.parametrize(
    "fields", [{}, ECHO, {"process_type": "service"}], ids=["single", "one", "any"]
)
def test_a_message_of_a_foreign_publisher_may_lack_every_property(
    urls: tuple[str, ...], tmp_path: Path, fields: dict[str, str]
) -> None:
    with Pipeline(urls, "op") as pipeline:
        channel = pipeline.session.channel
        channel.basic_publish(names.exchange("op-in"), "", b"bare")
        channel.basic_publish(
            names.exchange("op-in"),
            "some.key",
            b"odd",
            pika.BasicProperties(
                content_type="text/plain; charset=utf-8",
                content_encoding="identity",
                priority=3,
                reply_to="somewhere",
                expiration="60000000",
                type="t",
                app_id="a",
                headers={"list": [1, "two", {"three": None}], "flag": True, "n": None},
            ),
        )
        with operating(urls, pipeline, defined("cat", **fields), tmp_path) as operator:
            eventually(lambda: len(pipeline.outputs()) == 2)
            assert operator.drain() == ExitStatus.DRAINED
        assert pipeline.bodies() == [b"bare", b"odd"]
        assert not pipeline.dead()


def test_a_program_that_appears_later_is_found_and_no_message_was_burnt(
    urls: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "late"
    with Pipeline(urls, "op") as pipeline:
        pipeline.publish("a", "b")
        definition = defined(str(path), argv=[], retries=0)
        with operating(urls, pipeline, definition, tmp_path) as operator:
            eventually(operator.failures)
            path.write_text("#!/bin/sh\ncat\n")
            path.chmod(0o755)
            eventually(lambda: pipeline.bodies() == [b"a", b"b"], within_s=30)
            eventually(lambda: operator.state is OperatorState.RUNNING)
            assert operator.drain() == ExitStatus.DRAINED
        assert not pipeline.dead()


def test_a_crash_loop_ends_when_the_program_can_start(
    urls: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "configuration"
    line = f"test -e {path} || {{ echo no configuration >&2; exit 1; }}; sed -u s/^/got-/"
    with Pipeline(urls, "op") as pipeline:
        pipeline.publish("a", "b")
        definition = defined(line, process_type="service", retries=0)
        with operating(urls, pipeline, definition, tmp_path) as operator:
            eventually(operator.failures, within_s=30)
            assert "no configuration" in operator.failures()[0]
            path.touch()
            eventually(lambda: pipeline.bodies() == [b"got-a", b"got-b"], within_s=30)
            eventually(lambda: operator.state is OperatorState.RUNNING)
            assert operator.drain() == ExitStatus.DRAINED
        assert not pipeline.dead()


def test_what_nobody_collects_is_counted(urls: tuple[str, ...], tmp_path: Path) -> None:
    with Pipeline(urls, "op") as pipeline:
        pipeline.session.call(lambda channel: channel.queue_delete("sink.op"))
        pipeline.publish("a", "b")
        with operating(urls, pipeline, defined("cat"), tmp_path) as operator:
            eventually(lambda: operator.counters.uncollected == 2)
            assert operator.drain() == ExitStatus.DRAINED
        eventually(lambda: pipeline.waiting() == 0)


@pytest.mark.parametrize("megabytes", [200, pytest.param(4000, marks=pytest.mark.long)])
def test_gigabytes_on_stderr_take_no_memory(
    urls: tuple[str, ...], tmp_path: Path, megabytes: int
) -> None:
    line = f"head -c {megabytes}M /dev/zero | tr '\\0' x >&2; echo; cat"
    with Pipeline(urls, "op") as pipeline:
        pipeline.publish("x")
        with operating(urls, pipeline, defined(line, timeout=None), tmp_path) as operator:
            eventually(pipeline.outputs, within_s=120)
            peak = re.search(r"^VmHWM:\s+(\d+) kB", _status(operator.process.pid), re.MULTILINE)
            assert operator.drain() == ExitStatus.DRAINED
        assert peak
        assert int(peak[1]) < 150_000


def _status(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


def test_a_program_that_is_replaced_goes_on_and_the_next_one_is_the_new(
    urls: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "program"

    def write(word: str) -> None:
        new = tmp_path / "new"
        new.write_text(
            f'#!/bin/sh\nwhile read x; do test "$x" != end || exit 0; echo "{word} $x"; done\n'
        )
        new.chmod(0o755)
        new.replace(path)

    write("old")
    definition = defined(str(path), argv=[], process_type="service", replies="one", retries=1)
    with Pipeline(urls, "op") as pipeline:
        with operating(urls, pipeline, definition, tmp_path) as operator:
            pipeline.publish("a")
            eventually(lambda: pipeline.bodies() == [b"old a"])
            # When its file is replaced, and then gone, it doesn't mind
            write("new")
            pipeline.publish("b")
            eventually(lambda: pipeline.bodies() == [b"old a", b"old b"])
            path.unlink()
            # When it ends, the operation waits for a program, and no message is burnt
            pipeline.publish("end", "c")
            eventually(operator.failures)
            assert "program" in operator.failures()[0]
            write("new")
            eventually(lambda: pipeline.bodies()[-1] == b"new c", within_s=30)
            eventually(lambda: operator.state is OperatorState.RUNNING)
            assert operator.drain() == ExitStatus.DRAINED
        assert pipeline.bodies() == [b"old a", b"old b", b"new c"]
        assert [letter.body for letter in pipeline.dead()] == [b"end"]


@pytest.mark.parametrize(
    "fields", [{}, ECHO, {"process_type": "service"}], ids=["single", "one", "any"]
)
def test_counters_tell_what_was_done_and_stderr_arrives_in_bounds(
    urls: tuple[str, ...], tmp_path: Path, fields: dict[str, str]
) -> None:
    line = "echo first words >&2; yes noise | head -c 3000000 >&2; cat; echo last words >&2"
    with Pipeline(urls, "op") as pipeline:
        pipeline.publish(*"abcde")
        with operating(urls, pipeline, defined(line, **fields), tmp_path) as operator:
            eventually(lambda: len(pipeline.outputs()) == 5)
            assert operator.drain() == ExitStatus.DRAINED
        counters = operator.counters
        assert (counters.received, counters.published, counters.acknowledged) == (5, 5, 5)
        assert (counters.in_hand, counters.dead_lettered, counters.retried) == (0, 0, 0)
        assert "last words" in operator.logs[-1]
        assert sum(map(len, operator.logs)) < 200_000
        assert not operator.odd_lines


def test_reports_are_few_however_many_messages_pass(urls: tuple[str, ...], tmp_path: Path) -> None:
    with Pipeline(urls, "op") as pipeline:
        pipeline.publish_fast([text(str(number)) for number in range(3000)])
        with operating(urls, pipeline, defined("cat", **ECHO), tmp_path) as operator:
            eventually(lambda: len(pipeline.outputs()) == 3000, within_s=30)
            assert operator.drain() == ExitStatus.DRAINED
        assert len(operator.reports) < 30


def test_a_removed_queue_ends_the_operator(urls: tuple[str, ...], tmp_path: Path) -> None:
    with Pipeline(urls, "op") as pipeline:
        pipeline.publish("a")
        with operating(urls, pipeline, defined("cat", **ECHO), tmp_path) as operator:
            eventually(lambda: pipeline.bodies() == [b"a"])
            pipeline.session.call(lambda channel: channel.queue_delete("operations.op"))
            assert operator.exit_status() == ExitStatus.LOST_CONNECTION
            eventually(lambda: not operator.programs(), within_s=3)
