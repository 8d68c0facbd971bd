"""What the console says when parts are away."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from manager.console import numbers
from tests.console.looking import People
from tests.console.test_login import NOBODY_THERE
from tests.manager.serving import Api, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A manager without a broker."""
    with serving(NOBODY_THERE, f"sqlite:///{tmp_path_factory.mktemp('m')}/manager.db") as api:
        yield api


def test_a_broker_that_is_away_is_shown_as_such_and_not_as_zeros(people: People) -> None:
    page = people.enter("/streams/")
    expect(page.get_by_role("alert")).to_contain_text("The broker doesn't answer")
    events = page.get_by_role("row").filter(has_text="streamboss.events")
    expect(events.locator("td").first).to_have_text(numbers.UNKNOWN)


def test_an_empty_system_shows_the_commands_that_fill_it(people: People) -> None:
    page = people.enter("/")
    expect(page.locator("ol.commands li")).to_have_count(4)
    page.get_by_role("button", name="Copy the command streamboss consume out").click()
    assert page.evaluate("navigator.clipboard.readText()") == "streamboss consume out &"
