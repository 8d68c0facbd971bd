"""A definition is tried on its form: a real agent runs the program."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from streams import names
from streams.broker import Session
from streams.message import Message
from tests.agent.node.playing import running_agent
from tests.console.looking import People, obstacles, too_wide
from tests.eventually import eventually
from tests.manager.serving import Api


@pytest.fixture(scope="module")
def with_node(served: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A manager, a stream, and a node that takes any application."""
    folder = tmp_path_factory.mktemp("agent")
    assert served.post("/api/streams/", {"name": "in"}).status_code == 201
    made = served.post("/api/nodes/", {"name": "n1"}).json()
    config = json.dumps({**made["config"], "scratch": str(folder / "scratch")})
    with running_agent(folder, "", config=config):

        def ready() -> bool:
            return bool(served.get("/api/nodes/n1/").json()["state"] == "ready")

        eventually(ready, within_s=30, what="the node is ready")
        yield served


def test_a_definition_is_tried_and_mended_before_it_is_saved(
    with_node: Api, people: People, broker: Session
) -> None:
    page = people.enter("/definitions/new/", width=360)
    tried = page.locator("#tried")
    button = page.get_by_role("button", name="Try on a node")
    # what is missing is said, and nothing runs
    button.click()
    expect(tried).to_contain_text("exec: ")
    page.get_by_label("Name", exact=True).fill("Shout")
    page.get_by_label("Application").fill("any")
    page.get_by_label("Program").fill("echo '<script>alert(1)</script>' >&2; exit 65")
    button.click()
    expect(tried).to_contain_text("It failed on node n1")
    expect(tried).to_contain_text("exit status 65. In an operation: no other attempt")
    expect(tried.get_by_label("stderr")).to_have_text("<script>alert(1)</script>")
    page.get_by_label("Program").fill("tr a-z A-Z")
    page.get_by_label("Sample message").fill("grüße\nan \x1b\u202ealle")
    button.click()
    expect(tried.locator("pre")).to_have_text("GRüßE\nAN ⟨U+001B⟩⟨U+202E⟩ALLE")
    expect(tried).to_contain_text("exit status 0")
    assert obstacles(page) == []
    assert too_wide(page) <= 0
    # a sample may come from a stream: here of bytes that are no text
    page.get_by_label("or from stream").fill("in")
    page.get_by_role("button", name="Take its next message").click(no_wait_after=True)
    for _ in range(20):
        broker.publish(names.exchange("in"), Message(b"a\0\xff"), mandatory=False)
        page.wait_for_timeout(200)
        if page.get_by_label("Sample is").input_value() == "base64":
            break
    expect(tried).to_have_text("taken")
    expect(page.get_by_label("Sample message")).to_have_value("YQD/")
    button.click()
    expect(tried.locator("pre")).to_contain_text("41 00 ff")
    # nothing was saved
    assert with_node.get("/api/process_definition/").json()["meta"]["total_count"] == 0


def test_what_cannot_be_tried_says_what_to_do(with_node: Api, people: People) -> None:
    page = people.enter("/definitions/new/")
    page.get_by_label("Name", exact=True).fill("Pinned")
    page.get_by_label("Application").fill("other@" + "0" * 12)
    page.get_by_label("Program").fill("cat")
    page.get_by_role("button", name="Try on a node").click()
    expect(page.locator("#tried")).to_contain_text("no node that is ready offers the application")
    page.get_by_label("or from stream").fill("in")
    page.get_by_label("or from stream").press("Enter")  # which doesn't register it
    expect(page.locator("#tried")).to_have_text("nothing came on stream 'in' within 5 s")


def test_sizes_are_said_as_people_read_them(
    with_node: Api, people: People, broker: Session
) -> None:
    page = people.enter("/definitions/new/")
    page.get_by_label("or from stream").fill("in")
    page.get_by_role("button", name="Take its next message").click(no_wait_after=True)
    tried = page.locator("#tried")
    for _ in range(20):
        broker.publish(names.exchange("in"), Message(bytes(103 * 1024)), mandatory=False)
        page.wait_for_timeout(200)
        if "waiting" not in tried.inner_text():
            break
    expect(tried).to_have_text("its message has 103 KiB: 64 KiB at most")
