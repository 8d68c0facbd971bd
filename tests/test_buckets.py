"""Whose operations fetch from which buckets, from the admin's grant to the program's input."""

import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from manager.client import ManagerClient
from streams import names
from streams.broker import Session
from streams.objects import Objects
from tests.deployment import Deployment
from tests.eventually import eventually
from tests.rabbit import BrokerNode
from tests.s3 import S3Server
from tests.traffic import Collector

USER, PASSWORD = "ada", "the password of ada"
CONTENT = b"a large content"


@pytest.fixture
def deployment(
    broker_node: BrokerNode, s3_server: S3Server, bucket: str, tmp_path: Path
) -> Iterator[Deployment]:
    """A manager with S3, an agent, and a user who isn't an admin."""
    access = s3_server.access
    environment = {
        "AWS_ENDPOINT_URL_S3": access.endpoint_url or "",
        "AWS_REGION": access.region or "",
        "AWS_ACCESS_KEY_ID": access.access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": access.secret_access_key or "",
        "STREAMBOSS_OBJECT_BUCKET": bucket,
    }
    with broker_node.vhost() as settings:
        made = Deployment(settings, tmp_path, environment)
        try:
            made.start_manager()
            made.add_agent()
            made.client.add_user(USER, PASSWORD)
            yield made
        finally:
            made.stop()


def test_a_reference_is_fetched_when_its_bucket_is_granted_and_not_before(
    deployment: Deployment, s3_server: S3Server
) -> None:
    # Given a user's operation, and somebody's object in a bucket that the user wasn't granted
    foreign = secrets.token_hex(8)
    objects = Objects(s3_server.access)
    objects.ensure_bucket(foreign)
    message = objects.put(foreign, "large", CONTENT, content_type="text/plain").message()
    theirs = replace(deployment.settings, user=USER, password=PASSWORD)
    with closing(ManagerClient(theirs)) as client:
        program = {"name": "read", "application": "any", "exec": "cat", "retries": 0}
        number = client.register({"definition": program})
        client.create_operation("read", number, "references", "contents")
    urls = deployment.settings.need_amqp()
    with Collector(urls, "contents", names.subscription_queue("contents", "all")) as collector:
        deployment.until("running", "read")
        with Session(urls, name="publisher") as session:
            session.publish(names.exchange("references"), message)
        # Then it is a dead letter, which says what to do
        (dead,) = eventually(lambda: deployment.client.dead_letters("read"), within_s=30)
        assert foreign in dead["reason"]
        assert "an admin grants it" in dead["reason"]
        # When an admin grants the bucket, and it is put back
        deployment.client.change_user(USER, buckets=[foreign])
        eventually(lambda: _came(deployment, collector), within_s=60, what="it is fetched")


def _came(deployment: Deployment, collector: Collector) -> bool:
    """The grant is on its way to the operator: what comes before it is refused once more."""
    deployment.client.redrive("read")
    return CONTENT in collector.bodies
