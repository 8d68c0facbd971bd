"""However large an object is, little of it is held."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.s3 import S3Server
from tests.streams.objects.processes import environment

MIB = 1024 * 1024
PROGRAM = """
import os, sys, tempfile
from pathlib import Path
from streams.objects import Objects
from streams.settings import Settings

def upload(path, bucket):
    return objects.upload_file(path, bucket, "uploaded")

def write(path, bucket):
    with objects.upload(bucket, "written") as upload, path.open("rb") as file:
        while data := file.read(65536):
            upload.write(data)
        return upload.finish()

def fetch(reference):
    return sum(map(len, objects.fetch(reference)))

def fetch_into(reference):
    with tempfile.TemporaryFile() as file:
        objects.fetch_into(reference, file)
        return file.seek(0, os.SEEK_END)

def peak_bytes():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

objects = Objects(Settings.load(os.environ, Path("/")).s3)
path, bucket = Path(sys.argv[1]), sys.argv[2]
objects.put(bucket, "first", b"")  # boto3 itself takes 30 MiB
before = peak_bytes()
reference = {"upload": upload, "write": write}[sys.argv[3]](path, bucket)
size = {"fetch": fetch, "fetch_into": fetch_into}[sys.argv[4]](reference)
print(size, peak_bytes() - before)
"""


@pytest.mark.parametrize("manners", [("upload", "fetch_into"), ("write", "fetch")])
@pytest.mark.parametrize("size", [96 * MIB, pytest.param(1024 * MIB, marks=pytest.mark.long)])
def test_a_large_object_takes_less_than_64_mib(
    s3_server: S3Server, tmp_path: Path, manners: tuple[str, str], size: int
) -> None:
    with (path := tmp_path / "large").open("wb") as file:
        piece = os.urandom(MIB)
        for _ in range(size // MIB):
            file.write(piece)
    with s3_server.bucket() as bucket:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(path), bucket, *manners],
            env=environment(s3_server.access),
            stdout=subprocess.PIPE,
            check=True,
        )
    came, more_bytes = map(int, done.stdout.split())
    assert came == size
    assert more_bytes < 64 * MIB
