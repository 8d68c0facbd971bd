"""What docs/archives.md says about reading an archive without Streamboss."""

import io
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from streams.archive import SegmentKey, SegmentWriter, record_of
from streams.archive.keys import us_of
from streams.archive.segment import SCHEMA
from streams.message import Message
from tests.s3 import REGION, S3Server

PAGE = (Path(__file__).parents[1] / "docs" / "archives.md").read_text()


def test_the_example_for_fastavro_prints_a_days_messages(s3_server: S3Server, bucket: str) -> None:
    (example,) = re.findall(r"<!-- run: fastavro -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    arrived_us = us_of(datetime(2026, 11, 25, 10, 15, tzinfo=UTC))
    file = io.BytesIO()
    writer = SegmentWriter(file)
    for number in range(3):
        message = Message(b"text %d" % number, message_id=f"id-{number}")
        writer.write(record_of(message, arrived_us=arrived_us + number))
    writer.close()
    key = SegmentKey("mystream", arrived_us, "0000000000000000").key
    s3_server.client.put_object(Bucket=bucket, Key=key, Body=file.getvalue())
    access = s3_server.access
    done = subprocess.run(
        [sys.executable, "-c", example.replace('"streamboss"', repr(bucket))],
        env={
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL_S3": str(access.endpoint_url),
            "AWS_ACCESS_KEY_ID": str(access.access_key_id),
            "AWS_SECRET_ACCESS_KEY": str(access.secret_access_key),
            "AWS_DEFAULT_REGION": REGION,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"2026-11-25 10:15:00{fraction}+00:00 id-{n} b'text {n}'"
        for n, fraction in enumerate(("", ".000001", ".000002"))
    ]


def test_the_page_names_every_field_of_a_message() -> None:
    for field in SCHEMA["fields"]:
        assert f"`{field['name']}`" in PAGE


def test_the_page_shows_a_key_as_they_are() -> None:
    (key,) = re.findall(r"^s3://streamboss/(archives/mystream/\S+)$", PAGE, re.MULTILINE)
    assert SegmentKey.parse(key).key == key
