"""The embedded stack itself: found again, repaired, ended without remains."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.access import S3Access
from streams.settings import Settings, login_of
from tests.embedded import (
    ROOT,
    Person,
    kill_stack,
    processes_of,
    running_stack,
    stack_folder_of_a_test,
)
from tests.eventually import eventually
from tests.s3 import client_of
from tools.stack import StackError, StackStatus, describe, down, status, up
from tools.stack.state import State

PARTS = ("epmd", "broker", "s3", "manager", "agent")


@pytest.fixture(scope="module")
def person() -> Iterator[Person]:
    with running_stack() as somebody:
        yield somebody


def pids(shown: StackStatus) -> dict[str, int | None]:
    return {part.name: part.pid for part in shown.parts}


def test_a_second_up_finds_the_first(person: Person) -> None:
    before = status(person.folder)
    env = (person.folder / ".streamboss" / "env").read_text()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tools.main", "up"],
        cwd=person.folder,
        env=person.environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert pids(status(person.folder)) == pids(before)
    assert (person.folder / ".streamboss" / "env").read_text() == env
    assert "broker: ready" in done.stderr
    for text in ("manager", before.manager_url, "next:", "streamboss down"):
        assert text in done.stdout
    assert ("you are root" in done.stderr) == (os.geteuid() == 0)
    for secret in (person.settings.password, login_of(person.settings.need_amqp()[0])[1]):
        assert secret
        assert secret not in done.stdout + done.stderr


def test_status_shows_the_stack_and_what_runs_in_it(person: Person) -> None:
    number = person.register(name="Cat", application="cat", exec="cat")
    ends = {"input_stream": "a", "output_stream": "b", "process_definition_id": number}
    person.http("POST", "operations/", {"name": "copy", "demand": "always", **ends})
    person.until("copy", "running")
    # the broker counts what waits every few seconds
    eventually(lambda: person.http("GET", "operations/copy/")["backlog_messages"] == 0)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tools.main", "status"],
        cwd=person.folder,
        env=person.environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "copy\trunning\tlocal\t0\t0\t-\n" in done.stdout
    assert "local\tready\tany\tcopy\n" in done.stdout
    assert "wrong: " not in done.stdout
    assert all(f"  {name:8} running" in done.stdout for name in PARTS)
    assert len(done.stdout.splitlines()) < 24
    person.http("DELETE", "operations/copy/")


def test_what_holds_a_password_is_readable_by_its_owner_alone(person: Person) -> None:
    place = person.folder / ".streamboss"
    assert place.stat().st_mode & 0o777 == 0o700
    private = ("env", "state.json", "agent.json", "supervisord.conf", "broker/rabbitmq.conf")
    for name in (*private, "s3/s3.json"):
        assert (place / name).stat().st_mode & 0o077 == 0, name


def test_no_password_is_on_a_command_line_or_in_a_log(person: Person) -> None:
    settings = person.settings
    login, keys = login_of(settings.need_amqp()[0]), settings.s3
    secrets = [settings.password or "", login[1], keys.secret_access_key or ""]
    assert all(secrets)
    lines = "\n".join(processes_of(person.folder))
    logs = (person.folder / ".streamboss" / "logs").glob("*.log")
    shown = lines + "".join(log.read_text(errors="replace") for log in logs)
    assert not [secret for secret in secrets if secret in shown]


def test_no_key_of_s3_is_in_an_answer_of_the_manager(person: Person) -> None:
    number = person.register(name="Cat", application="cat", exec="cat")
    ends = {"input_stream": "c", "output_stream": "d", "process_definition_id": number}
    person.http("POST", "operations/", {"name": "keys", "demand": "always", **ends})
    person.until("keys", "running")
    paths = (
        "operations/keys/",
        "operations/keys/logs/",
        "nodes/local/",
        "streams/",
        "openapi.json",
    )
    keys = person.settings.s3
    assert keys.secret_access_key
    for path in paths:
        answer = str(person.http("GET", path))
        assert keys.secret_access_key not in answer, path
        assert str(keys.access_key_id) not in answer, path
    person.http("DELETE", "operations/keys/")


def test_everything_listens_on_this_machine_alone(person: Person) -> None:
    ours = {int(line.split()[0]) for line in processes_of(person.folder)}
    shown = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    listening = [
        line.split()[3]
        for line in shown.splitlines()
        if ours & {int(pid) for pid in re.findall(r"pid=(\d+)", line)}
    ]
    assert len(listening) >= 13
    assert all(address.startswith(("127.0.0.1:", "[::1]:")) for address in listening)


@pytest.mark.parametrize("name", PARTS)
def test_a_killed_part_comes_back(person: Person, name: str) -> None:
    first = pids(status(person.folder))[name]
    incarnation = person.http("GET", "nodes/local/")["incarnation"]
    assert first
    os.kill(first, signal.SIGKILL)
    eventually(
        lambda: (
            pids(status(person.folder))[name] not in {first, None}
            and all(part.state == "running" for part in status(person.folder).parts)
        ),
        within_s=60,
        what=f"{name} is back",
    )

    def agent_is_back() -> bool:
        node = person.http("GET", "nodes/local/")
        return node["state"] == "ready" and (name != "agent" or node["incarnation"] != incarnation)

    eventually(agent_is_back, within_s=60, what="the agent has found its way back")


def test_a_stack_survives_a_crash_with_data_and_passwords_and_avoids_taken_ports() -> None:
    with stack_folder_of_a_test() as folder:
        up(folder, env={})
        person = Person(folder)
        person.http("POST", "streams/", {"name": "kept"})
        client_of(person.settings.s3).create_bucket(Bucket="kept")
        before = State.need(folder / ".streamboss")
        kill_stack(folder)
        assert not processes_of(folder)
        with (
            socket.create_server(("127.0.0.1", before.manager_port)),
            socket.create_server(("127.0.0.1", before.storage.ports.s3)),
            socket.create_server(("127.0.0.1", before.broker_ports.amqp)),
        ):
            up(folder, env={})
        after = State.need(folder / ".streamboss")
        assert after.manager_port != before.manager_port
        assert after.storage.ports.s3 != before.storage.ports.s3
        assert after.storage.ports.filer == before.storage.ports.filer
        assert after.broker_ports.amqp != before.broker_ports.amqp
        assert after.broker_ports.management == before.broker_ports.management
        assert after.password == before.password
        again = Person(folder)
        assert again.http("GET", "streams/kept/")["name"] == "kept"
        assert again.http("GET", "nodes/local/")["state"] == "ready"
        names = [b["Name"] for b in client_of(again.settings.s3).list_buckets()["Buckets"]]
        assert "kept" in names

        ports = after.storage.ports
        assert list(Path("/tmp").glob(f"seaweedfs-*-{ports.s3_grpc}.sock"))
        assert down(folder) is True
        assert not list(Path("/tmp").glob(f"seaweedfs-*-{ports.s3_grpc}.sock"))
        assert not processes_of(folder)
        assert not status(folder).running
        assert down(folder) is False


def test_the_servers_of_the_environment_are_used_and_none_is_started(
    settings: Settings, s3_access: S3Access
) -> None:
    env = {
        "STREAMBOSS_AMQP_URL": settings.need_amqp()[0],
        "STREAMBOSS_BROKER_API_URL": settings.need_broker_api(),
        **s3_access.environment(),
    }
    with stack_folder_of_a_test() as folder:
        shown = up(folder, env=env)
        assert [part.name for part in shown.parts] == ["manager", "agent"]
        assert Settings.load({}, folder).amqp_urls == settings.amqp_urls
        assert Settings.load({}, folder).s3 == s3_access
        assert f"yours     {s3_access.endpoint_url}" in describe(shown)
        assert Person(folder).http("GET", "nodes/local/")["state"] == "ready"
        assert not [line for line in processes_of(folder) if "beam" in line or "weed" in line]


def test_where_rabbitmq_is_missing_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.stack.rabbitmq.SERVER", tmp_path / "rabbitmq-server")
    with pytest.raises(
        StackError, match=r"not installed: .*rabbitmq-server: 'make setup'"
    ) as caught:
        up(tmp_path, env={})
    assert "\n" not in str(caught.value)


def test_where_the_s3_server_is_missing_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.stack.seaweedfs.SERVER", tmp_path / "weed")
    with pytest.raises(StackError, match=r"not installed: .*/weed: 'make setup'") as caught:
        up(tmp_path, env={})
    assert "\n" not in str(caught.value)
