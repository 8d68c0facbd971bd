"""The quickstart through its scripts, on an embedded stack, as a person types it."""

from collections.abc import Iterator

import pytest

from tests.embedded import Person, running_stack
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
