"""A manager on a machine of its own: deployed, used, upgraded with messages waiting, ended."""

import json
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.appliances.desk import Desk, over_ssh, sat_down, value
from tests.appliances.elastic import BOOT_S, GONE_S
from tests.embedded import ROOT, Person
from tests.eventually import eventually
from tests.provision.local.machines import left

pytestmark = [
    pytest.mark.timeout(2400),  # machines on a busy computer
    pytest.mark.long,  # the image alone takes minutes: broker, database, S3
]

SOURCES = ("agent", "appliances", "manager", "provision", "streams", "tools")
FILES = ("LICENSE", "README.md", "pyproject.toml", "requirements.lock")
MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "9999", "{last}"


def upgrade() -> None:
    op.create_table("more", sa.Column("id", sa.Integer, primary_key=True))


def downgrade() -> None:
    op.drop_table("more")
"""
#: Run on its machine: the ports that others reach, and whether connections to the broker use TLS.
LISTENING = (
    r"ss -Hltn | grep -vE '127\.0\.0\.|\[::1\]|\[::ffff:127\.0\.0\.1\]'"
    r" | grep -oE ':[0-9]+ ' | tr -d ': ' | sort -nu"
)
CONNECTIONS = "rabbitmqctl --quiet list_connections --no-table-headers ssl"
#: Run as the manager's user, on its machine: what the local cloud shows through its gate.
LOOK = """
cd /var/lib/streamboss
setpriv --reuid streamboss --regid streamboss --clear-groups env -i PATH=/usr/bin:/bin HOME=$PWD \
    STREAMBOSS_INVENTORY=/etc/streamboss/inventory /opt/streamboss/bin/python -c '
import os, pathlib
from provision import desk
with desk.opened(None, env=os.environ, folder=pathlib.Path.cwd()) as cloud:
    machine = cloud.launch(cloud.machines()[0].image, name="more", hours=1)
    print([m.name for m in cloud.machines()], cloud.wait_ready(machine).host)
    cloud.terminate(machine)
'
"""


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """A desk whose image of a manager is built once."""
    with sat_down() as desk:
        yield desk


@pytest.fixture
def version(desk: Desk) -> Iterator[Path]:
    """Another version of Streamboss, for the desk's inventory to take; gone with the test."""
    folder = desk.folder / "version"
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    yield folder
    (desk.folder / "inventory" / "appliances.yaml").unlink(missing_ok=True)


def _take(desk: Desk, version: Path) -> None:
    recipe = str(version / "appliances" / "stream-manager" / "recipe.yaml")
    entry = {"appliances": {"stream-manager": {"recipe": recipe, "size": "medium"}}}
    (desk.folder / "inventory" / "appliances.yaml").write_text(json.dumps(entry))


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def _break(version: Path) -> None:
    """Let a version change the tables, and then end."""
    folder = version / "manager" / "migrations" / "versions"
    last = max(path.name[:4] for path in folder.glob("0*.py"))
    (folder / "9999_more.py").write_text(MIGRATION.format(last=last))
    line = "        _prepare(users)\n"
    more = '        raise RuntimeError("broken on purpose")\n'
    _change(version / "manager" / "app.py", line, line + more)


def _used(desk: Desk) -> Person:
    """Let tools work against the manager, and leave messages behind that nobody has consumed."""
    person = Person(desk.folder)
    person.run("create_stream.py", "mystream")
    number = str(person.register(name="Shout", application="shout", exec="tr [a-z] [A-Z]"))
    person.run("create_operation.py", "shout", number, "mystream", "outputstream")
    taken = person.consume("mystream", "--count", "2", "--durable", "keep")
    eventually(lambda: person.http("GET", "subscriptions/")["objects"], what="it is subscribed")
    person.run("publish.py", "mystream", stdin="one\ntwo\n")
    assert [taken.line(), taken.line()] == ["one", "two"]
    (desk.folder / "large.dat").write_bytes(b"x" * 3_000_000)
    person.run("create_stream.py", "files")
    fetched = person.consume("files", "--count", "1", "--output-dir", "fetched")
    eventually(lambda: _consumers(person, "files"), what="somebody consumes")
    person.run("stream_file.py", "files", "uploads", "large.dat")
    fetched.line(60)
    person.leave()
    (got,) = (path for path in (desk.folder / "fetched").iterdir() if path.is_file())
    assert got.read_bytes() == b"x" * 3_000_000
    person.run("publish.py", "mystream", stdin="three\nfour\n")
    return person


def _is_served_by_tls_alone(person: Person, first: str) -> None:
    """See that whoever comes without TLS, or trusts another CA, gets nowhere."""
    told = person.settings
    addresses = (told.need_amqp()[0], told.need_manager(), told.s3.endpoint_url or "")
    for address in addresses:
        parts = urlsplit(address)
        assert parts.scheme.endswith("s")
        where = (parts.hostname, parts.port)
        with socket.create_connection(where, timeout=20) as line:
            line.sendall(b"AMQP\0\0\x09\x01")
            line.settimeout(20)
            said = b""
            with suppress(ConnectionError):  # so is the end of it
                said = line.recv(1000)
            assert not said.startswith(b"AMQP")
            assert b"200 OK" not in said
        with pytest.raises(ssl.SSLCertVerificationError):  # noqa: SIM117 - in this order
            with socket.create_connection(where, timeout=20) as line:
                ssl.create_default_context().wrap_socket(line, server_hostname=parts.hostname)
    # and there is no other way in
    assert over_ssh(first, LISTENING) == "22\n5671\n8081\n8333\n"


def _a_machine_works_for_it(desk: Desk, person: Person, first: str) -> None:
    """Let a machine of an appliance run a program, with large outputs; all of it by TLS."""
    desk.fab("build_appliance")
    exec_ = (
        "if read -r word && [ $word = large ]; then seq 400000; else echo $word | tr a-z A-Z; fi"
    )
    number = str(person.register(name="Upper", application="stream-agent", exec=exec_))
    person.run("create_operation.py", "upper", number, "words", "shouted")
    taken = person.consume("shouted", "--count", "1")
    # an idle operation collects nothing
    eventually(lambda: person.state("upper") != "idle", what="it is wanted")
    person.run("publish.py", "words", stdin="hello\n")
    assert taken.line(BOOT_S) == "HELLO"
    assert set(over_ssh(first, CONNECTIONS).split()) == {"true"}
    # an output that became an object came there and back
    fetched = person.consume("shouted", "--count", "1", "--output-dir", "seq")
    eventually(lambda: _consumers(person, "shouted"), what="somebody consumes")
    person.run("publish.py", "words", stdin="large\n")
    fetched.line(60)
    (got,) = (path for path in (desk.folder / "seq").iterdir() if path.is_file())
    assert got.read_text() == "".join(f"{number}\n" for number in range(1, 400001))
    person.leave()
    eventually(
        lambda: not person.http("GET", "nodes/")["objects"], within_s=GONE_S, what="it is gone"
    )


def _consumers(person: Person, stream: str) -> int:
    return int(person.http("GET", f"streams/{stream}/")["consumers"])


def _streams(person: Person) -> list[str]:
    return [each["name"] for each in person.http("GET", "streams/")["objects"]]


def test_a_manager_is_deployed_used_upgraded_and_ended(desk: Desk, version: Path) -> None:
    # Given a manager on a machine of its own, with settings for the tools of this folder
    first = desk.fab("deploy_manager", "--hours", "744")
    handle = value(first, "handle")
    assert re.search(r"^manager: https://127\.0\.0\.1:\d+ \(launched\)$", first, re.MULTILINE)
    assert "Shutdown time" in first
    assert f"{handle}  manager  stream-manager  manager" in desk.fab("nodes")
    settings = desk.folder / ".streamboss" / "env"
    assert settings.stat().st_mode & 0o777 == 0o600
    assert over_ssh(first, "stat -c %a /etc/streamboss/*env /etc/streamboss/s3.json") == (
        "600\n600\n600\n"
    )
    _is_served_by_tls_alone(Person(desk.folder), first)
    # what is to run does, and will: certificates are looked at each day
    assert not over_ssh(first, "systemctl --failed --plain --no-legend")
    assert over_ssh(first, "systemctl is-active streamboss-certificates.timer") == "active\n"
    person = _used(desk)
    _a_machine_works_for_it(desk, person, first)
    ca = (desk.folder / ".streamboss" / "manager-ca.pem").read_bytes()
    # it launches machines beside itself
    assert over_ssh(first, LOOK) == "['manager', 'more'] 10.0.2.2\n"
    # When nothing has changed, nothing is done, and quickly
    began = time.monotonic()
    assert "(unchanged)" in desk.fab("deploy_manager")
    assert time.monotonic() - began < 30
    # When there is another version, it runs in place of the one before
    _take(desk, version)
    _change(version / "manager" / "api" / "health.py", '"status": "ok"', '"status": "better"')
    assert "(upgraded)" in desk.fab("deploy_manager")
    assert _health(desk) == "better"
    # and one that doesn't get ready is taken back
    _break(version)
    said = desk.refused("deploy_manager")
    assert "the one before runs again" in said
    assert "broken on purpose" in said
    assert _health(desk) == "better"
    assert over_ssh(first, "ls /var/lib/streamboss-upgrades") == "before.dump\nfailed.dump\n"
    # Then nothing was lost, and who is trusted is the same
    assert (desk.folder / ".streamboss" / "manager-ca.pem").read_bytes() == ca
    assert {"mystream", "outputstream", "files"} <= set(_streams(person))
    assert person.http("GET", "operations/shout/")["state"] in {"idle", "failed"}
    rest = person.consume("mystream", "--count", "2", "--durable", "keep")
    assert [rest.line(60), rest.line(60)] == ["three", "four"]
    person.leave()
    # and it goes with all that it had
    ended = desk.fab("terminate", "--handle", handle)
    assert f"removed: {settings}" in ended
    assert not settings.exists()
    assert not desk.left()
    assert not list((desk.folder / ".streamboss" / "clouds" / "gates").glob("*/*"))
    assert not left(desk.cloud)


def _health(desk: Desk) -> str:
    person = Person(desk.folder)
    return str(person.http("GET", "../healthz")["status"])


def test_what_cant_be_deployed_is_said_before_anything_is_launched(desk: Desk) -> None:
    assert "hours: 99999 is more than" in desk.refused("deploy_manager", "--hours", "99999")
    assert "unknown cloud 'nowhere'" in desk.refused("deploy_manager", "--cloud", "nowhere")
    env = desk.folder / ".streamboss" / "env"
    env.write_text("STREAMBOSS_MANAGER_URL=http://192.0.2.1:8081\n")
    said = desk.refused("deploy_manager")
    assert "leads to another manager, http://192.0.2.1:8081: move the file away" in said
    env.unlink()
    assert not desk.left()


@pytest.mark.parametrize(("sign", "there"), [(signal.SIGINT, 0), (signal.SIGKILL, 1)])
def test_an_interrupted_deployment_leaves_nothing_or_what_is_listed_and_leased(
    desk: Desk, sign: signal.Signals, there: int
) -> None:
    command = [f"{sys.prefix}/bin/fab", "--search-root", str(ROOT), "deploy_manager"]
    process = subprocess.Popen(
        command, cwd=desk.folder, env=desk.environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    assert any(line.startswith("first boot") for line in process.stderr)
    process.send_signal(sign)
    process.stderr.read()
    process.stderr.close()
    process.wait(60)
    assert len(desk.left()) == there
    assert not (desk.folder / ".streamboss" / "env").exists()
    for handle in desk.left():  # the next one would go on with it
        assert re.search(rf"^{handle} .* manager .* tests ", desk.fab("nodes"), re.MULTILINE)
        assert f"manager ({handle}): it is protected" in desk.fab("collect_garbage")
        desk.fab("terminate", "--handle", handle)
    assert not desk.left()
