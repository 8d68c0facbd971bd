"""The quickstart through its scripts, on an embedded stack, as a person types it."""

import json
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.embedded import TOOLS, Person, processes_of, running_stack
from tests.eventually import eventually

WAFFLE = """import fileinput

for line in fileinput.input():
    print(line.replace("pancake", "waffle"))
"""


@pytest.fixture(scope="module")
def person() -> Iterator[Person]:
    with running_stack() as typing:
        yield typing


def test_a_program_runs_while_somebody_consumes_and_no_longer(person: Person) -> None:
    number = person.register(name="Shout", application="any", exec="tr [a-z] [A-Z]")
    person.run("create_stream.py", "mystream")
    person.run("create_operation.py", "my-operation", str(number), "mystream", "outputstream")
    person.http("PATCH", "operations/my-operation/", {"linger_s": 1})
    assert person.state("my-operation") == "idle"

    consumer = person.consume("outputstream")
    person.until("my-operation", "running")
    person.run("publish.py", "outputstream", stdin="Some value\n")
    assert consumer.line() == "Some value"
    person.run("publish.py", "mystream", stdin="Some other text\n")
    assert consumer.line() == "SOME OTHER TEXT"

    consumer.stop()
    person.until("my-operation", "idle")


def test_the_pancake_service_needs_no_unbuffering_by_its_author(person: Person) -> None:
    file = person.folder / "waffle.py"
    file.write_text(WAFFLE)
    number = person.register(
        name="Waffle", application="any", exec=f"python3 {file}", process_type="service"
    )
    person.run("create_operation.py", "breakfast", str(number), "kitchen", "table")
    consumer = person.consume("table")
    person.until("breakfast", "running")
    person.run("publish.py", "kitchen", stdin="one pancake, please\n")
    assert consumer.line() == "one waffle, please"
    consumer.stop()


def test_what_exists_already_is_fine_and_what_differs_is_not(person: Person) -> None:
    person.run("create_stream.py", "twice")
    person.run("create_stream.py", "twice")
    number = person.register(name="Cat", application="any", exec="cat")
    person.run("create_operation.py", "again", str(number), "in", "out")
    person.run("create_operation.py", "again", str(number), "in", "out")
    with pytest.raises(AssertionError, match=r"1: .*again"):
        person.run("create_operation.py", "again", str(number), "in", "elsewhere")
    eventually(lambda: person.state("again") == "idle")


def test_an_archive_is_played_again_here_and_by_the_manager(person: Person) -> None:
    person.run("create_stream.py", "kept")
    place = person.run("archive_stream.py", "kept")
    assert place.strip().endswith("/archives/kept/")
    person.run("publish.py", "kept", stdin="one\ntwo\n")
    person.run("stop_archiving_stream.py", "kept")
    consumer = person.consume("kept")
    consuming = "the stream is collected"
    eventually(lambda: person.http("GET", "streams/kept/")["consumers"] == 1, what=consuming)
    person.run("stream_archive.py", "kept")
    assert [consumer.line(), consumer.line()] == ["one", "two"]
    replay = person.run("stream_archive.py", "kept", "--detach").strip()
    assert [consumer.line(), consumer.line()] == ["one", "two"]
    path = f"streams/kept/replays/{replay}/"
    eventually(lambda: person.http("GET", path)["state"] == "done", what="the replay is done")


def test_no_secret_lies_where_it_has_no_business(person: Person) -> None:
    # Given a stack at work, with logins of every kind that were used
    secrets = _secrets(person)
    assert len(secrets) > 8
    # Then only the files that are there for secrets hold one, and nobody else may read those
    place, found = person.folder / ".streamboss", dict[str, set[str]]()
    for path in place.rglob("*"):
        if path.is_file() and (held := _held(path.read_bytes(), secrets)):
            found[str(path.relative_to(place))] = held
            assert path.stat().st_mode & 0o077 == 0, path
    allowed = {"env", "state.json", "agent.json", "broker/rabbitmq.conf", "broker/.erlang.cookie"}
    allowed |= {name for name in found if name.startswith("s3/") and name.count("/") == 1}
    assert {name: held for name, held in found.items() if name not in allowed} == {}
    # And no command line has one, nor the environment of anything but the services themselves
    for pid in _processes(person):
        with suppress(OSError):
            assert not _held((pid / "cmdline").read_bytes(), secrets), pid
            environ, line = (pid / "environ").read_bytes(), (pid / "cmdline").read_bytes()
            held = _held(environ, secrets)
            assert not held, (line, held)


def _secrets(person: Person) -> dict[str, str]:
    """Use each kind of login once, and return every secret of the stack by what it is."""
    place = person.folder / ".streamboss"
    number = person.register(name="Upper", application="any", exec="tr a-z A-Z; cat >&2")
    person.run("create_operation.py", "careful", str(number), "cin", "cout")
    person.http("PATCH", "operations/careful/", {"demand": "always"})
    person.until("careful", "running")
    person.http("POST", "users/", {"name": "ada", "password": "ada's own words"})
    allowed = person.http("PUT", "users/ada/streams/", {"publish": ["cin"], "consume": ["cout"]})
    token = person.http("POST", "users/ada/tokens/", {})["token"]
    environment = {**person.environment, "STREAMBOSS_AMQP_URL": allowed["amqp_urls"][0]}
    subprocess.run(
        [str(TOOLS / "publish.py"), "cin"], input=b"x", env=environment, check=True, timeout=60
    )
    state = json.loads((place / "state.json").read_text())
    agent = json.loads((place / "agent.json").read_text())
    settings = person.settings
    return {
        "broker": state["broker_password"],
        "admin": state["password"],
        "basic": b64encode(f"{settings.user}:{settings.password}".encode()).decode(),
        "agent": str(urlsplit(agent["amqp_urls"][0]).password),
        "s3": str(settings.s3.secret_access_key),
        "user": "ada's own words",
        "token": token,
        "by stream": str(urlsplit(allowed["amqp_urls"][0]).password),
        "cookie": (place / "broker" / ".erlang.cookie").read_text(),
    }


def _held(content: bytes, secrets: dict[str, str]) -> set[str]:
    return {name for name, secret in secrets.items() if secret.encode() in content}


def _processes(person: Person) -> list[Path]:
    return [Path("/proc") / line.partition(" ")[0] for line in processes_of(person.folder)]
