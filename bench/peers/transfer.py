"""One transfer of a large object, by boto3's own client or by ours; prints what it took.

    transfer.py MANNER BUCKET KEY FILE

S3 is named by boto3's variables.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import boto3

from bench.path import memory_bytes
from streams.objects import Objects
from streams.reference import ObjectReference
from streams.settings import Settings

Transfer = Callable[[str, str, Path], None]
_AT_ONCE = 64 * 1024


def boto3_upload(bucket: str, key: str, path: Path) -> None:
    """Upload as boto3 does by itself: parts of 8 MiB, ten threads."""
    boto3.client("s3").upload_file(str(path), bucket, key)


def boto3_download(bucket: str, key: str, path: Path) -> None:
    """Download as boto3 does by itself; nothing is checked but the length."""
    boto3.client("s3").download_file(bucket, key, str(path))


def _objects() -> Objects:
    return Objects(Settings.load(os.environ, Path("/")).s3)


def upload_file(bucket: str, key: str, path: Path) -> None:
    """Upload as `stream-file` does."""
    _objects().upload_file(path, bucket, key)


def upload(bucket: str, key: str, path: Path) -> None:
    """Upload as an operator does, while a program still writes."""
    with _objects().upload(bucket, key) as writing, path.open("rb") as file:
        while data := file.read(_AT_ONCE):
            writing.write(data)
        writing.finish()


def fetch_into(bucket: str, key: str, path: Path) -> None:
    """Fetch as an operator does before a program starts."""
    with path.open("w+b") as file:
        _objects().fetch_into(ObjectReference(bucket, key), file)


def fetch(bucket: str, key: str, path: Path) -> None:
    """Fetch in order, and write it."""
    with path.open("wb") as file:
        file.writelines(_objects().fetch(ObjectReference(bucket, key)))


def main() -> None:
    """Do what the command line says."""
    manner, bucket, key, path = sys.argv[1:]
    transfer: Transfer = globals()[manner]
    with suppress(Exception):
        Objects(Settings.load(os.environ, Path("/")).s3).get(bucket, "no such key")  # imports boto3
    before_bytes = memory_bytes("self", "VmRSS")
    before_cpu, before_s = time.process_time(), time.monotonic()
    transfer(bucket, key, Path(path))
    took = {
        "seconds": time.monotonic() - before_s,
        "cpu_s": time.process_time() - before_cpu,
        "more_bytes": memory_bytes("self", "VmHWM") - before_bytes,
    }
    print(json.dumps(took))


if __name__ == "__main__":
    main()
