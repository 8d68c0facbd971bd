"""`stream-file`, as a person types it: real broker, real S3."""

import json
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest

from streams.reference import ObjectReference
from tests.eventually import eventually
from tests.s3 import S3Server
from tests.tools.desk import Desk
from tests.tools.typist import COMMAND_S


def test_a_file_is_stored_and_its_reference_published(
    desk: Desk, s3_server: S3Server, bucket: str
) -> None:
    path = desk.file("a b/picture.png", bytes(range(256)) * 40_000)  # more than one part
    said = desk.typist.must("stream-file", "s", bucket, str(path))
    (reference,) = desk.published()
    stored = s3_server.client.get_object(Bucket=bucket, Key="picture.png")
    assert stored["Body"].read() == path.read_bytes()
    assert stored["ContentType"] == "image/png"
    assert reference == ObjectReference(
        bucket, "picture.png", path.stat().st_size, stored["ETag"].strip('"'), "image/png"
    )
    assert f"{reference}, 10,240,000 bytes, uploaded; reference published on s" in said


def test_a_file_that_is_there_already_is_not_sent_again(
    desk: Desk, s3_server: S3Server, bucket: str
) -> None:
    desk.file("data.bin")
    desk.typist.must("stream-file", "s", bucket, "data.bin")
    desk.published()
    client = s3_server.client
    stored = client.head_object(Bucket=bucket, Key="data.bin")
    marked = {**stored["Metadata"], "mark": "as it was"}
    kind = stored["ContentType"]
    client.put_object(
        Bucket=bucket, Key="data.bin", Body=b"content", Metadata=marked, ContentType=kind
    )

    def is_as_it_was() -> bool:
        return "mark" in client.head_object(Bucket=bucket, Key="data.bin")["Metadata"]

    assert "there already" in desk.typist.must("stream-file", "s", bucket, "data.bin")
    assert is_as_it_was()
    assert [r.key for r in desk.published()] == ["data.bin"]
    assert "uploaded" in desk.typist.must("stream-file", "s", bucket, "data.bin", "--force")
    assert not is_as_it_was()

    for other in (b"content of another length", b"CONTENT of another length"):
        desk.file("data.bin", other)
        assert "uploaded" in desk.typist.must("stream-file", "s", bucket, "data.bin")
        assert client.get_object(Bucket=bucket, Key="data.bin")["Body"].read() == other


def test_several_files_and_patterns_go_in_order_under_a_folder(desk: Desk, bucket: str) -> None:
    for name in ("b/1.csv", "b/c/2.csv", "b/3.txt", "x.csv.gz", "[odd].csv"):
        desk.file(name, name.encode())
    words = ("[odd].csv", "b/**/*.csv", "x.csv.gz")
    out = desk.typist.must("stream-file", "s", bucket, *words, "--key", "in/", "--json")
    said = [json.loads(line) for line in out.splitlines()]
    kinds = {"in/[odd].csv": "text/csv", "in/1.csv": "text/csv", "in/2.csv": "text/csv"}
    kinds["in/x.csv.gz"] = "application/gzip"
    assert {line["key"]: line["content_type"] for line in said} == kinds
    assert [line["file"] for line in said] == ["[odd].csv", "b/1.csv", "b/c/2.csv", "x.csv.gz"]
    assert [r.key for r in desk.published()] == list(kinds)
    assert all(line["uploaded"] and line["collected"] and line["message_id"] for line in said)


def test_a_missing_bucket_is_made_and_that_nobody_collects_is_said(
    desk: Desk, s3_server: S3Server, bucket: str
) -> None:
    desk.file("a.txt")
    desk.session.channel.queue_unbind(desk.queue, "streams.s")
    done = desk.typist.run("stream-file", "s", f"{bucket}-new", "a.txt", "--key", "k")
    assert done.returncode == 0
    assert f"made the bucket '{bucket}-new'" in done.stderr
    assert "nobody collects 's'" in done.stderr
    assert s3_server.client.head_object(Bucket=f"{bucket}-new", Key="k")["ContentLength"] == 7
    s3_server.client.delete_bucket(Bucket=f"{bucket}-new")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nix", "{bucket}", "a.txt"], "there is no stream 'nix'"),
        (["s", "{bucket}", "a.txt", "gone.txt"], "gone.txt: No such file or directory"),
        (["s", "{bucket}", "folder"], "folder: is no file: name its files"),
        (["s", "b", "a.txt"], "InvalidBucketName"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_sent(
    desk: Desk, s3_server: S3Server, bucket: str, words: list[str], said: str
) -> None:
    desk.file("a.txt")
    desk.file("folder/b.txt")
    told = desk.fails(*(word.format(bucket=bucket) for word in words))
    assert said in told
    assert told.count("\n") == 1
    assert "Contents" not in s3_server.client.list_objects_v2(Bucket=bucket)


def test_what_keeps_us_out_is_one_line(desk: Desk, s3_server: S3Server, bucket: str) -> None:
    desk.file("a.txt")
    words = ("s", bucket, "a.txt")
    guest = s3_server.guest.environment()
    stranger = replace(s3_server.access, access_key_id="nobody").environment()
    nowhere = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}
    for environment, said in (
        (guest, "doesn't let this login do that"),
        (stranger, "refuses the login (InvalidAccessKeyId)"),
        (nowhere, "127.0.0.1:9 can't be reached"),
        ({"STREAMBOSS_AMQP_URL": "amqp://u:geheim@127.0.0.1:9/"}, "127.0.0.1"),
    ):
        told = desk.fails(*words, environment=environment)
        assert said in told
        assert told.count("\n") == 1
        secrets = [value for name, value in environment.items() if "SECRET" in name]
        assert not [secret for secret in (*secrets, "geheim") if secret in told]


def test_two_files_with_one_key_are_wrong_usage(desk: Desk, bucket: str) -> None:
    desk.file("a/x")
    desk.file("b/x")
    words = ("s", bucket, "a/x", "b/x")
    assert "would have the same key 'x'" in desk.fails(*words, status=2)
    assert "--key 'y' is for one file" in desk.fails(*words, "--key", "y", status=2)


def _in_the_middle(
    desk: Desk, s3_server: S3Server, bucket: str, act: Callable[["subprocess.Popen[str]"], None]
) -> tuple[int, str]:
    """Do something while a file is being uploaded; return the exit status and what was said."""
    process = desk.typist.start("stream-file", "s", bucket, str(desk.large_file()))
    eventually(lambda: s3_server.unfinished(bucket), what="the upload has begun")
    act(process)
    out, err = process.communicate(timeout=COMMAND_S)
    assert out == ""
    assert "Traceback" not in err
    return process.returncode, err


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_upload_that_is_broken_off_leaves_nothing(
    desk: Desk, s3_server: S3Server, bucket: str, how: signal.Signals
) -> None:
    status, said = _in_the_middle(desk, s3_server, bucket, lambda p: p.send_signal(how))
    assert (status, said.count("\n")) == (130, 1)
    assert not s3_server.unfinished(bucket)
    assert "Contents" not in s3_server.client.list_objects_v2(Bucket=bucket)
    assert desk.published() == []


def test_a_file_that_changes_meanwhile_is_refused(
    desk: Desk, s3_server: S3Server, bucket: str
) -> None:
    path = desk.folder / "large.bin"

    def grow(_process: object) -> None:
        with path.open("ab") as file:
            file.write(b"more")

    status, said = _in_the_middle(desk, s3_server, bucket, grow)
    assert status == 1
    assert "large.bin changed while it was uploaded" in said
    assert not s3_server.unfinished(bucket)
    assert desk.published() == []


def test_a_stream_that_goes_meanwhile_leaves_the_object_and_says_so(
    desk: Desk, s3_server: S3Server, bucket: str
) -> None:
    def remove(_process: object) -> None:
        desk.session.channel.exchange_delete("streams.s")

    status, said = _in_the_middle(desk, s3_server, bucket, remove)
    assert status == 1
    assert f"s3://{bucket}/large.bin is stored, but not published: there is no stream 's'" in said


def test_a_person_sees_how_far_it_is(desk: Desk, bucket: str) -> None:
    shown = desk.typist.on_terminal("stream-file", "s", bucket, str(desk.large_file()))
    assert shown.returncode == 0
    assert "large.bin" in shown.stdout
    assert " MB" in shown.stdout
    assert "uploaded; reference published on s" in shown.stdout
