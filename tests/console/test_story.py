"""What a newcomer does in the browser alone, without having read anything."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.looking import People
from tests.embedded import Person, running_stack

_WORK_MS = 90_000


@pytest.fixture(scope="module")
def stack() -> Iterator[Person]:
    """A stack with an agent that runs any program."""
    with running_stack() as person:
        yield person


@pytest.fixture
def newcomers(browser: Browser, stack: Person) -> Iterator[People]:
    """Who opens pages of the stack."""
    settings = stack.settings
    made = People(browser, settings.need_manager(), (settings.user or "", settings.password or ""))
    yield made
    made.leave()


@pytest.mark.parametrize("width", [1280, 360])
def test_a_newcomer_has_a_program_at_work_breaks_and_mends_it(
    newcomers: People, width: int
) -> None:
    program, name = f"Shout {width}", f"shout-{width}"
    source, target = f"quiet-{width}", f"loud-{width}"
    page = newcomers.enter("/", width=width)
    _define(page, program, "tr [a-z] [A-Z]")
    page.get_by_role("link", name="New operation with it").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Takes from stream", exact=True).fill(source)
    page.get_by_label("Puts onto stream", exact=True).fill(target)
    page.get_by_label("Works", exact=True).select_option("always")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.locator(".state")).to_contain_text("running", timeout=_WORK_MS)

    seen = newcomers.enter(f"/streams/{target}/", width=width)
    expect(seen.locator("#tail-state")).to_have_text("live")
    _publish(page, source, "hello")
    expect(seen.locator("#tail")).to_contain_text("HELLO", timeout=_WORK_MS)

    _change(page, program, "sh -c 'echo no such luck >&2; exit 65'")
    _publish(page, source, "again")
    page.get_by_role("link", name=name).first.click()
    letters = page.get_by_role("link", name="1", exact=True)
    expect(letters).to_be_visible(timeout=_WORK_MS)
    letters.click()
    letter = page.locator(".letters > li")
    expect(letter.get_by_label("stderr")).to_contain_text("no such luck")
    expect(letter.get_by_label("Message as text")).to_have_text("again")

    _change(page, program, "tr [a-z] [A-Z]")
    page.get_by_role("link", name=name).first.click()
    page.get_by_role("link", name="1", exact=True).click()
    page.get_by_role("button", name="Redrive all").click()
    expect(page.get_by_role("status")).to_have_text("1 dead letter sent back")
    expect(seen.locator("#tail")).to_contain_text("AGAIN", timeout=_WORK_MS)


def test_what_came_is_archived_and_played_again(stack: Person, newcomers: People) -> None:
    page = newcomers.enter("/new/stream/", width=360)
    page.get_by_label("Name", exact=True).fill("kept")
    page.get_by_role("button", name="Create", exact=True).click()
    page.get_by_role("link", name="Archive and replay").click()
    page.get_by_label("Keep for days", exact=True).fill("0")
    page.get_by_role("button", name="Archive from now on").click()
    expect(page.locator("#about-keep_days .wrong")).to_contain_text("greater than 0")
    page.get_by_label("Keep for days", exact=True).fill("7")
    page.get_by_role("button", name="Archive from now on").click()
    expect(page.locator(".state")).to_contain_text("recording", timeout=_WORK_MS)
    for number in range(3):
        _publish(page, "kept", f"message {number}")
    watching = newcomers.enter("/streams/kept/")
    expect(watching.locator("#tail-state")).to_have_text("live")
    page.goto(f"{newcomers.url}/streams/kept/archive/")
    page.get_by_role("button", name="Stop archiving").click()
    expect(page.locator(".state")).to_contain_text("stopped", timeout=_WORK_MS)
    expect(page.locator("#bars-note")).to_contain_text("stored; times are UTC")
    page.get_by_label("Onto stream", exact=True).fill("nowhere")
    page.get_by_role("button", name="Replay", exact=True).click()
    expect(page.locator("#about-onto .wrong")).to_contain_text("there is no stream 'nowhere'")
    page.get_by_label("Onto stream", exact=True).fill("")
    trying = newcomers.enter("/definitions/new/")
    trying.get_by_label("or from stream").fill("kept")
    trying.get_by_role("button", name="Take its next message").click()
    expect(trying.locator("#tried")).to_contain_text("taken is the newest of its archive")
    expect(trying.get_by_label("Sample message")).to_have_value("message 2")
    page.get_by_label("Speed", exact=True).fill("warp")
    page.get_by_role("button", name="Replay", exact=True).click()
    expect(page.locator("#about-speed .wrong")).to_be_visible()
    page.get_by_label("Speed", exact=True).fill("1/s")
    page.get_by_role("button", name="Replay", exact=True).click()
    row = page.get_by_role("row").filter(has_text="kept")
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("paused")
    row.get_by_role("button", name="Go on").click()
    expect(row).to_contain_text("done", timeout=_WORK_MS)
    expect(row.get_by_label("100 of 100")).to_be_visible()
    expect(watching.locator("#tail li")).to_have_count(3)
    page.get_by_label("Speed", exact=True).fill("1/s")
    page.get_by_role("button", name="Replay", exact=True).click()
    page.get_by_role("link", name="Cancel").click()
    expect(page.locator(".bar.warn")).to_contain_text("can't go on")
    page.get_by_role("button", name="Cancel the replay").click()
    expect(page.get_by_role("status").first).to_contain_text("cancelled")


def _define(page: Page, name: str, program: str) -> None:
    """Register a process definition, by its form."""
    page.get_by_role("link", name="Definitions", exact=True).click()
    page.get_by_role("link", name="New definition").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Application", exact=True).fill("any")
    page.get_by_label("Program", exact=True).fill(program)
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Definition {name}")


def _change(page: Page, name: str, program: str) -> None:
    """Give a definition another program."""
    page.get_by_role("link", name="Definitions", exact=True).click()
    page.get_by_role("link", name=name).click()
    page.get_by_role("link", name="Change it").click()
    page.get_by_label("Program", exact=True).fill(program)
    page.get_by_role("button", name="Save as a new version").click()
    expect(page.locator("main > [role=status]")).to_contain_text("made")


def _publish(page: Page, stream: str, text: str) -> None:
    """Publish a message from a stream's page."""
    address = page.url.split("/")
    page.goto(f"{address[0]}//{address[2]}/streams/{stream}/")
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.locator("#published")).to_contain_text("published")
