"""Large objects: fetched, stored, and through an operation, beside boto3's own client."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from bench import contenders
from bench.path import INPUT, Turn, cpu_s, drained, memory_bytes, prepare, wait_for
from bench.scenario import Goal, Scenario, memory_mib, ratio
from streams.broker import Session
from streams.objects import Objects
from streams.reference import ObjectReference
from tests.rabbit import BrokerNode
from tests.s3 import S3Server, running_s3

MIB = 1024 * 1024
SIZE_MIB = int(os.environ.get("OBJECT_MIB", "512"))
RAW_DOWNLOAD = "boto3's own download_file"
RAW_UPLOAD = "boto3's own upload_file"
THROUGH, STREAM_FILE = "through a single operation, `wc -c`", "as `stream-file` does"
BUCKET, KEY = "bench", "large"


def fetches(node: BrokerNode) -> Iterator[Turn]:
    """Fetch one object in each manner, and give it to a program."""
    with _large_object() as large:
        for name, manner in (
            (RAW_DOWNLOAD, "boto3_download"),
            ("fetched into a file, checked", "fetch_into"),
            ("fetched in order, checked", "fetch"),
        ):
            yield large.transferred(name, manner)
        yield _operation(node, large)
        yield large.transferred(RAW_DOWNLOAD, "boto3_download")


def uploads(_node: BrokerNode) -> Iterator[Turn]:
    """Store one file in each manner."""
    with _large_object() as large:
        for name, manner in (
            (RAW_UPLOAD, "boto3_upload"),
            (STREAM_FILE, "upload_file"),
            ("as an output that is still written", "upload"),
            (RAW_UPLOAD, "boto3_upload"),
        ):
            yield large.transferred(name, manner)


@dataclass(frozen=True, slots=True)
class _Large:
    """An object on a server of our own, and a file with the same content."""

    server: S3Server
    file: Path
    reference: ObjectReference

    def transferred(self, name: str, manner: str) -> Turn:
        """Run one transfer in a process of its own."""
        uploads = "upload" in manner
        target = self.file if uploads else self.file.with_suffix(".fetched")
        key = "again" if uploads else KEY
        command = [sys.executable, "-m", "bench.peers.transfer", manner, BUCKET, key, str(target)]
        answer = subprocess.run(
            command, env={**os.environ, **self._variables()}, stdout=subprocess.PIPE, check=True
        )
        took = json.loads(answer.stdout)
        if not uploads:
            target.unlink()
        return Turn(
            name,
            SIZE_MIB / took["seconds"],
            took["cpu_s"] / SIZE_MIB * 1e6,
            "MiB/s",
            took["more_bytes"],
        )

    def _variables(self) -> dict[str, str]:
        access = self.server.access
        return {
            "AWS_ENDPOINT_URL_S3": access.endpoint_url or "",
            "AWS_REGION": access.region or "",
            "AWS_DEFAULT_REGION": access.region or "",
            "AWS_ACCESS_KEY_ID": access.access_key_id or "",
            "AWS_SECRET_ACCESS_KEY": access.secret_access_key or "",
        }


@contextmanager
def _large_object() -> Iterator[_Large]:
    with running_s3() as server, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large"
        piece = os.urandom(MIB)
        with file.open("wb") as writing:
            writing.writelines(piece for _ in range(SIZE_MIB))
        objects = Objects(server.access)
        objects.ensure_bucket(BUCKET)
        yield _Large(server, file, objects.upload_file(file, BUCKET, KEY))


def _operation(node: BrokerNode, large: _Large) -> Turn:
    """Give the object to a program that reads it all, by its reference."""
    counting = contenders.operator(exec="wc -c")
    with node.vhost() as plain, Session(plain.need_amqp(), name="bench") as session:
        settings = replace(plain, s3=large.server.access)
        prepare(session, 1)
        with counting(settings, "", "") as (pid,):
            wait_for(session, 1)
            idle_bytes = memory_bytes(pid, "VmRSS")
            start_s, start_cpu = time.monotonic(), cpu_s(pid)
            session.publish(f"streams.{INPUT}", large.reference.message())
            wait_for(session, 2)
            seconds, cpu = time.monotonic() - start_s, cpu_s(pid) - start_cpu
            more_bytes = memory_bytes(pid, "VmHWM") - idle_bytes
        _first, counted = islice(drained(session), 2)
        if int(counted) != large.reference.size:
            raise RuntimeError("the program didn't get the whole object")
    return Turn(
        THROUGH,
        SIZE_MIB / seconds,
        cpu / SIZE_MIB * 1e6,
        "MiB/s",
        more_bytes,
    )


FETCHES = Scenario(
    "objects",
    "How fast is a large object fetched, and given to a program?",
    RAW_DOWNLOAD,
    fetches,
    goals=(
        Goal("through an operation: 0.8 x boto3", ratio(THROUGH, RAW_DOWNLOAD), 0.8),
        Goal("less than 64 MiB more memory than an idle operator", memory_mib(THROUGH), at_most=64),
    ),
    rounds=2,
)
UPLOADS = Scenario(
    "uploads",
    "How fast is a large object stored?",
    RAW_UPLOAD,
    uploads,
    goals=(Goal("as `stream-file` does: 0.8 x boto3", ratio(STREAM_FILE, RAW_UPLOAD), 0.8),),
    rounds=2,
)
