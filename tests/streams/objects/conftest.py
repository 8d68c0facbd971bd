"""Both dialects of S3: the server of the stack, and AWS's as moto speaks it."""

import secrets
from collections.abc import Iterator

import pytest
from types_boto3_s3 import S3Client

from streams.access import S3Access
from streams.objects import Objects
from tests.aws import running_moto
from tests.faults import FaultyWay, faulty_way
from tests.s3 import S3Server, client_of


@pytest.fixture(scope="session")
def aws() -> Iterator[S3Access]:
    with running_moto() as access:
        yield access


@pytest.fixture(scope="session", params=["stack", "aws"])
def access(request: pytest.FixtureRequest, s3_server: S3Server, aws: S3Access) -> S3Access:
    return s3_server.access if request.param == "stack" else aws


@pytest.fixture(scope="session")
def objects(access: S3Access) -> Objects:
    return Objects(access)


@pytest.fixture(scope="session")
def client(access: S3Access) -> Iterator[S3Client]:
    """boto3's own client, past our code."""
    opened = client_of(access)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def bucket(client: S3Client) -> str:
    """One for all of these tests, as a new bucket takes the stack's server half a second."""
    name = f"test-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def key() -> str:
    """A key of the test's own."""
    return f"{secrets.token_hex(6)}/key"


@pytest.fixture
def way(s3_server: S3Server) -> Iterator[FaultyWay]:
    """A way to the stack's server that fails as told."""
    with faulty_way(s3_server.access) as proxy:
        yield proxy
