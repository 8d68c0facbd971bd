"""What a deployed manager and its users are told, and whose settings are replaced."""

import json
import secrets
import threading
from pathlib import Path

import pytest

from appliances.deployment import buckets, env_file, settings
from appliances.errors import BuildError
from provision import inventory
from provision.entries import LocalEntry, NimbusEntry
from provision.errors import WaitTimeoutError
from provision.machine import Machine, State
from provision.secrets import Secrets
from streams.objects import Objects
from tests.faults import faulty_way
from tests.s3 import S3Server

FIRST = {
    "STREAMBOSS_AMQP_URL": "amqps://streamboss:p-w_d@10.0.2.100:5671/",
    "STREAMBOSS_BROKER_API_URL": "http://127.0.0.1:15672",
    "STREAMBOSS_MANAGER_URL": "https://10.0.2.100:8081",
    "STREAMBOSS_DATABASE_URL": "postgresql+psycopg://streamboss:d@127.0.0.1/streamboss",
    "AWS_ENDPOINT_URL_S3": "https://10.0.2.100:8333",
    "AWS_ACCESS_KEY_ID": "own",
    "AWS_CA_BUNDLE": "/etc/streamboss/tls/ca.pem",
    "STREAMBOSS_CA_FILE": "/etc/streamboss/tls/ca.pem",
}
ABROAD = Machine("hotel", "vm-001", "manager", State.RUNNING, "192.0.2.7", 22, "img", "small")
HERE = Machine(
    *("local", "i-1", "manager", State.RUNNING, "127.0.0.1", 40001, "img", "small"),
    ports={5671: 40002, 8081: 40003, 8333: 40004},
)
CA = Path("/home/me/.streamboss/manager-ca.pem")
FOREIGN = {"AWS_ENDPOINT_URL_S3": "https://s3.example", "AWS_ACCESS_KEY_ID": "theirs"}


def test_on_the_local_cloud_machines_are_told_published_ports() -> None:
    told = settings.of_manager(FIRST, HERE, LocalEntry(kind="local"), {})
    assert told["STREAMBOSS_AMQP_URL"] == "amqps://streamboss:p-w_d@10.0.2.2:40002/"
    assert told["STREAMBOSS_MANAGER_URL"] == "https://10.0.2.2:40003"
    assert told["AWS_ENDPOINT_URL_S3"] == "https://10.0.2.2:40004"
    assert told["STREAMBOSS_DATABASE_URL"] == FIRST["STREAMBOSS_DATABASE_URL"]
    assert told["STREAMBOSS_INVENTORY"] == settings.INVENTORY
    users = settings.of_users(FIRST, HERE, {}, CA)
    assert users["STREAMBOSS_AMQP_URL"] == "amqps://streamboss:p-w_d@127.0.0.1:40002/"
    assert users["STREAMBOSS_CA_FILE"] == users["AWS_CA_BUNDLE"] == str(CA)
    assert not {"STREAMBOSS_DATABASE_URL", "STREAMBOSS_BROKER_API_URL"} & set(users)


def test_elsewhere_machines_are_told_its_own_address_and_users_the_clouds() -> None:
    told = settings.of_manager(FIRST, ABROAD, NimbusEntry(kind="nimbus", host="h"), FOREIGN)
    assert told["STREAMBOSS_AMQP_URL"] == FIRST["STREAMBOSS_AMQP_URL"]
    assert told["AWS_ENDPOINT_URL_S3"] == "https://s3.example"
    assert "AWS_CA_BUNDLE" not in told  # ours signed nothing of theirs
    users = settings.of_users(FIRST, ABROAD, FOREIGN, CA)
    assert users["STREAMBOSS_AMQP_URL"] == "amqps://streamboss:p-w_d@192.0.2.7:5671/"
    assert users["AWS_ACCESS_KEY_ID"] == "theirs"
    assert "AWS_CA_BUNDLE" not in users
    foreign = {**FOREIGN, "AWS_CA_BUNDLE": "/home/me/s3.pem"}
    assert settings.of_users(FIRST, ABROAD, foreign, CA)["AWS_CA_BUNDLE"] == "/home/me/s3.pem"
    told = settings.of_manager(FIRST, ABROAD, NimbusEntry(kind="nimbus", host="h"), foreign)
    assert told["AWS_CA_BUNDLE"] == settings.S3_CA


def test_a_certificate_names_all_by_which_its_machine_is_reached() -> None:
    local, nimbus = LocalEntry(kind="local"), NimbusEntry(kind="nimbus", host="h")
    here = ["localhost", "127.0.0.1", "10.0.2.100"]
    assert settings.hosts(FIRST, HERE, local) == [*here, "10.0.2.2"]
    assert settings.hosts(FIRST, ABROAD, nimbus) == [*here, "192.0.2.7"]


def test_a_machine_of_an_older_image_is_known_by_its_address() -> None:
    assert not settings.is_in_the_clear(FIRST)
    assert settings.is_in_the_clear({"STREAMBOSS_AMQP_URL": "amqp://streamboss:p@10.0.2.100:5672/"})


def test_an_s3_server_counts_by_its_address_not_by_keys_alone() -> None:
    assert settings.borrowed_s3({"AWS_ACCESS_KEY_ID": "x", "STREAMBOSS_BUCKET": "b"}) == {}
    named = settings.borrowed_s3({**FOREIGN, "STREAMBOSS_BUCKET": "mine"})
    assert named == {
        **FOREIGN,
        "STREAMBOSS_BUCKET": "mine",
        "STREAMBOSS_OBJECT_BUCKET": "outputs",
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An inventory with clouds of each sort."""
    (tmp_path / "clouds.yaml").write_text(
        json.dumps(
            {
                "clouds": {
                    "local": {"kind": "local", "limits": {"machines": 3}},
                    "other": {"kind": "local"},
                    "hotel": {"kind": "nimbus", "host": "h", "cloud_client": "client.sh"},
                },
                "appliances": {
                    "mine": {"recipe": "r.yaml", "hours": 7, "images": {"other": "img"}}
                },
            }
        )
    )
    return tmp_path


def test_a_manager_gets_the_inventory_with_the_owner_in_it(folder: Path, tmp_path: Path) -> None:
    known = inventory.load(folder)
    (tmp_path / "told").mkdir()
    (tmp_path / "told" / "all.yaml").write_text(settings.inventory(known, "local", "/gate.sock"))
    told = inventory.load(tmp_path / "told")
    assert told.owner == known.owner
    assert set(told.clouds) == {"local", "hotel"}  # no podman of its own
    entry = told.clouds["local"]
    assert isinstance(entry, LocalEntry)
    assert (entry.socket, entry.limits.machines) == ("/gate.sock", 3)
    assert told.appliances["mine"].hours == 7
    assert not told.appliances["mine"].recipe
    assert told.cloud()[0] == "local"


def test_a_manager_gets_the_credentials_that_are_there(folder: Path) -> None:
    env = {"STREAMBOSS_SECRET_HOTEL_KEY": "k", "STREAMBOSS_SECRET_HOTEL_SECRET": "s"}
    told = settings.secrets_file(inventory.load(folder), Secrets(env))
    assert told == "hotel-key=k\nhotel-secret=s\n"
    assert settings.secrets_file(inventory.load(folder), Secrets({})) == ""


def test_settings_of_a_deployed_manager_are_its_owners_alone_and_go_with_it(tmp_path: Path) -> None:
    path = tmp_path / ".streamboss" / "env"
    env_file.put(path.with_name(env_file.CA), "PEM", mode=0o644)
    env_file.write(path, HERE, {"STREAMBOSS_MANAGER_URL": "http://127.0.0.1:40003"})
    assert path.stat().st_mode & 0o777 == 0o600
    assert env_file.check(path, "local", stack=False) == ""
    with pytest.raises(BuildError, match=r"to another manager, http://127\.0\.0\.1:40003: move"):
        env_file.check(path, "hotel", stack=True)
    assert not env_file.forget(path, ABROAD)
    assert env_file.forget(path, HERE)
    assert not list(path.parent.iterdir())
    assert not env_file.forget(path, HERE)


def test_settings_of_a_stack_give_way_and_those_of_anybody_else_dont(tmp_path: Path) -> None:
    path = tmp_path / "env"
    assert env_file.check(path, "local", stack=True) == ""
    path.write_text("STREAMBOSS_MANAGER_URL=http://127.0.0.1:8081\n")
    assert "'streamboss up' leads back" in env_file.check(path, "local", stack=True)
    with pytest.raises(BuildError, match="deploy from another folder"):
        env_file.check(path, "local", stack=False)


def test_buckets_are_made_when_an_s3_that_starts_anew_is_back(s3_server: S3Server) -> None:
    named = [secrets.token_hex(8), secrets.token_hex(8)]
    with faulty_way(s3_server.access) as way:
        with way.refusing():
            # Given an S3 that is away: whoever doesn't wait for it is told
            with pytest.raises(WaitTimeoutError, match=r"can't be reached"):
                buckets.make(Objects(way.access), named, away_s=0.1)
            waiting = threading.Thread(target=buckets.make, args=(Objects(way.access), named))
            waiting.start()
        # When it is back
        waiting.join(60)
    # Then they are there
    there = {bucket["Name"] for bucket in s3_server.client.list_buckets()["Buckets"]}
    assert set(named) <= there
