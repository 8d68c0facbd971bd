"""An S3 server as AWS's, and buckets of the tests' own."""

import secrets
from collections.abc import Iterator

import pytest

from streams.access import S3Access
from streams.objects import Objects
from tests.aws import running_moto


@pytest.fixture(scope="session")
def aws() -> Iterator[S3Access]:
    with running_moto() as access:
        yield access


@pytest.fixture
def objects(aws: S3Access) -> Objects:
    return Objects(aws)


@pytest.fixture
def bucket(objects: Objects) -> str:
    name = f"test-{secrets.token_hex(6)}"
    objects.ensure_bucket(name)
    return name
