"""The S3 server as the stack and the tests run it."""

import re
import subprocess

import pytest
from botocore.exceptions import ClientError

from tests.s3 import S3Server


def test_a_server_keeps_its_keys_to_itself(s3_server: S3Server) -> None:
    node = s3_server.node
    assert (node.folder / "s3.json").stat().st_mode & 0o777 == 0o600
    assert node.secret_access_key not in repr(node)
    assert node.secret_access_key not in " ".join(node.command())
    assert node.secret_access_key not in "".join(node.environment().values())


def test_a_server_listens_on_this_machine_alone_and_on_no_port_of_its_own_choice(
    s3_server: S3Server,
) -> None:
    shown = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    ours = [
        line.split()[3] for line in shown.splitlines() if f"pid={s3_server.process.pid}," in line
    ]
    ports = s3_server.node.ports
    given = {getattr(ports, name) for name in ports.__slots__} | {s3_server.tls_port}
    assert sorted(ours) == sorted(f"127.0.0.1:{port}" for port in given)


def test_a_server_takes_many_buckets_and_makes_none_by_itself(s3_server: S3Server) -> None:
    client = s3_server.client
    with pytest.raises(ClientError, match="NoSuchBucket"):
        client.put_object(Bucket="never-made", Key="k", Body=b"x")
    for number in range(8):
        with s3_server.bucket() as name:
            client.put_object(Bucket=name, Key=f"k{number}", Body=b"x")


def test_what_was_stored_outlives_a_kill(s3_server: S3Server, bucket: str) -> None:
    s3_server.client.put_object(Bucket=bucket, Key="kept", Body=b"content", ContentType="text/x")
    s3_server.kill()
    s3_server.start()
    kept = s3_server.client.get_object(Bucket=bucket, Key="kept")
    assert (kept["Body"].read(), kept["ContentType"]) == (b"content", "text/x")
    assert re.fullmatch(r'"[0-9a-f]{32}"', kept["ETag"])
