"""Making streams and operations in the browser: the forms, and what is wrong with them."""

import re

import pytest
from playwright.sync_api import Page, expect

from manager.console.forms import Filled, new_password, refused
from manager.errors import ConflictError, InvalidError
from manager.model import Role
from tests.console.looking import People, obstacles, too_wide
from tests.manager.serving import Api

UPPER = {"definition": {"name": "Upper", "application": "any", "exec": "tr [a-z] [A-Z]"}}


@pytest.fixture(scope="module")
def defined(served: Api) -> Api:
    """A process definition."""
    assert served.post("/api/process_definition/", UPPER).status_code == 201
    return served


def test_each_problem_is_beside_its_field() -> None:
    problems = ["name: too long", "instances.min: must be 1 or more", "one: of no field"]
    filled = refused({"name": "x"}, InvalidError(problems), ("name", "instances"))
    assert filled.wrong("name") == ["too long"]
    assert filled.wrong("instances") == ["must be 1 or more"]
    assert filled.wrong("") == ["one: of no field"]
    assert filled.of("name") == "x"
    assert refused({}, ConflictError("in use"), ()).wrong("") == ["in use"]
    assert Filled().wrong("name") == ()


@pytest.mark.parametrize("width", [1280, 360])
def test_a_stream_and_an_operation_are_made_in_the_browser(
    defined: Api, people: People, width: int
) -> None:
    page = people.enter("/streams/", width=width)
    page.get_by_role("link", name="New stream").click()
    page.get_by_label("Name", exact=True).fill(f"made-{width}")
    expect(page.locator("[data-command] code")).to_have_text(
        f"streamboss create-stream made-{width}"
    )
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("status").first).to_have_text(f"stream made-{width} created")
    page.goto(f"{defined.url}/operations/")
    page.get_by_role("link", name="New operation").click()
    page.get_by_label("Name", exact=True).fill(f"upper-{width}")
    page.get_by_label("Takes from stream", exact=True).fill(f"made-{width}")
    page.get_by_label("Puts onto stream", exact=True).fill(f"new-{width}")
    works = page.get_by_label("Works", exact=True)
    expect(works).to_have_accessible_description(re.compile("in this console isn't consuming"))
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Operation upper-{width}")
    made = defined.get(f"/api/operations/upper-{width}/").json()
    assert (made["input_stream"], made["output_stream"]) == (f"made-{width}", f"new-{width}")
    assert made["demand"] == "consumers"


def test_a_form_comes_back_with_what_is_wrong_beside_each_field(
    defined: Api, people: People
) -> None:
    page = people.enter("/new/operation/?definition=1&input=same", width=360)
    page.get_by_label("Name", exact=True).fill("no spaces <b>")
    page.get_by_label("Puts onto stream", exact=True).fill("same")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("alert").first).to_contain_text("Nothing was done")
    assert "use A-Z" in _wrong(page, "Name")
    assert "must differ from its input stream" in _wrong(page, "Puts onto stream")
    assert _wrong(page, "Takes from stream") == ""
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.get_by_label("Name", exact=True).fill("well")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_label("Puts onto stream", exact=True)).to_be_focused()
    page.get_by_label("Name", exact=True).fill("no spaces <b>")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("no spaces <b>")
    expect(page.get_by_label("Program", exact=True)).to_have_value("1")
    assert obstacles(page) == []
    assert too_wide(page) <= 0
    page.get_by_label("Name", exact=True).fill("mended")
    page.get_by_label("Puts onto stream", exact=True).fill("other")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Operation mended")


def test_who_may_only_look_is_offered_no_form(defined: Api, people: People) -> None:
    page = people.enter("/streams/", user=defined.add_user("vera", Role.VIEWER))
    assert page.get_by_role("link", name="New stream").count() == 0
    page.goto(f"{defined.url}/new/stream/")
    expect(page.get_by_role("alert").last).to_contain_text("may only look")


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("/users/boss/tokens/", "/users/boss/"),
        ("/streams/of-forms/replays/", "/streams/of-forms/"),
        ("/logout/", "/"),
    ],
)
def test_the_address_of_a_form_leads_to_the_page_above(
    defined: Api, people: People, asked: str, shown: str
) -> None:
    defined.post("/api/streams/", {"name": "of-forms"})
    page = people.enter(asked)
    assert page.url == defined.url + shown
    expect(page.get_by_role("alert")).to_have_count(0)


def test_where_something_is_wrong_the_way_back_is_offered(defined: Api, people: People) -> None:
    page = people.enter("/operations/<no>/such/page/")
    expect(page.get_by_role("alert").last).to_have_text("there is no such page")
    page.goto(f"{defined.url}/streams/nowhere/")
    page.get_by_role("link", name="Back to /streams/").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Streams")


def _wrong(page: Page, label: str) -> str:
    """Return what is said to be wrong with a field, where screen readers find it."""
    field = page.get_by_label(label, exact=True)
    about = page.locator(f"#{field.get_attribute('aria-describedby')} .wrong")
    assert (field.get_attribute("aria-invalid") == "true") == bool(about.count())
    return " ".join(about.all_inner_texts())


def test_a_password_that_somebody_types_has_twelve_letters_or_more() -> None:
    with pytest.raises(InvalidError) as failed:
        new_password({"password": "eleven char"})
    assert failed.value.problems == ["password: 12 letters or more"]
    assert new_password({"password": "twelve chars"}) == "twelve chars"
