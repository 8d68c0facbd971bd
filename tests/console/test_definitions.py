"""Definitions in the console: made, changed, changed back, and removed."""

import json
from typing import Any

import pytest
from playwright.sync_api import expect

from manager.model import Role
from tests.console.looking import HOSTILE, People, must_fit
from tests.manager.serving import Api

UPPER: dict[str, dict[str, Any]] = {
    "definition": {"name": "Upper", "application": "any", "exec": "tr [a-z] [A-Z]"}
}
OPERATION = {
    "name": "upper",
    "process_definition_id": 1,
    "input_stream": "in",
    "output_stream": "out",
}
PAGES = ["/definitions/", "/definitions/1/", "/definitions/2/", "/definitions/new/?like=2"]
PAGES += ["/definitions/1/change/", "/definitions/1/versions/", "/definitions/2/versions/1/"]
PAGES += ["/definitions/1/versions/1/restore/", "/definitions/1/remove/"]


@pytest.fixture(scope="module")
def filled(served: Api) -> Api:
    """A definition of two versions that an operation uses, and one that means harm."""
    assert served.post("/api/process_definition/", UPPER).status_code == 201
    assert served.post("/api/operations/", OPERATION).status_code == 201
    fields = {**UPPER["definition"], "timeout": 5, "environment": {"KEY": "x" * 500}}
    served.request("PUT", "/api/process_definition/1/", {"definition": fields})
    harm: dict[str, Any] = {
        "name": HOSTILE,
        "application": "any",
        "exec": HOSTILE,
        "description": HOSTILE,
    }
    harm |= {"environment": {"A": HOSTILE}}
    assert served.post("/api/process_definition/", {"definition": harm}).status_code == 201
    harm |= {"exec": f"cat {HOSTILE}", "environment": {}}
    served.request("PUT", "/api/process_definition/2/", {"definition": harm})
    return served


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_every_page_is_fit_for_everybody(
    filled: Api, people: People, width: int, dark: bool
) -> None:
    page = people.enter(width=width, dark=dark)
    for path in PAGES:
        must_fit(page, filled.url + path)


def test_a_definition_is_made_and_what_is_wrong_is_said_while_typing(
    filled: Api, people: People
) -> None:
    page = people.enter("/definitions/")
    page.get_by_role("link", name="New definition").click()
    page.get_by_label("Name", exact=True).fill("Shout")
    page.get_by_text("More settings").click()
    page.get_by_label("Timeout").fill("soon")
    wrong = page.locator("#about-timeout .wrong")
    expect(wrong).to_contain_text("input should be a valid number")
    expect(page.get_by_label("Timeout")).to_have_attribute("aria-invalid", "true")
    # what nobody came to yet isn't wrong
    expect(page.locator("#about-exec .wrong")).to_have_count(0)
    expect(page.get_by_role("status")).to_have_text("3 fields to fill in or mend.")
    page.get_by_role("button", name="Register", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was done")
    expect(page.locator("#about-exec .wrong")).to_contain_text("is missing")
    expect(page.get_by_label("Timeout")).to_have_value("soon")
    page.get_by_label("Application").fill("any")
    page.get_by_label("Program").fill("tr a-z A-Z")
    page.get_by_label("Timeout").fill("7")
    expect(page.get_by_role("status")).to_have_text("Complete.")
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_text("The same as a command").click()
    document = json.loads(page.locator("#document").inner_text())
    page.get_by_role("button", name="Register", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Definition Shout")
    made = filled.get("/api/process_definition/?limit=1000").json()["objects"][-1]
    assert made["definition"] == {**made["definition"], **document["definition"]}
    assert (made["definition"]["exec"], made["definition"]["retries"]) == ("tr a-z A-Z", 3)


def test_versions_are_made_seen_by_others_and_gone_back_to(filled: Api, people: People) -> None:
    watching = people.enter("/definitions/1/")
    page = people.enter("/definitions/1/change/")
    expect(page.get_by_text("upper finishes what it has begun")).to_be_visible()
    page.get_by_label("Program").fill("tr A-Z a-z")
    filled.request("PUT", "/api/process_definition/1/", UPPER)
    page.get_by_role("button", name="Save as a new version").click()
    expect(page.get_by_role("alert")).to_contain_text("boss made version 3 meanwhile")
    page.goto(filled.url + "/definitions/1/change/")
    page.get_by_label("Program").fill("tr A-Z a-z")
    page.get_by_role("button", name="Save as a new version").click()
    expect(page.get_by_role("status")).to_have_text("version 4 made")
    expect(watching.get_by_role("row").filter(has_text="4 (now)")).to_contain_text("tr A-Z a-z")
    watching.get_by_role("link", name="Go back to version 3").click()
    expect(watching.get_by_text("upper finishes what it has begun")).to_be_visible()
    watching.get_by_role("button", name="Go back to it").click()
    expect(watching.get_by_role("status")).to_have_text("version 5 equals version 3")
    shown = filled.get("/api/process_definition/1/").json()
    assert (shown["version"], shown["definition"]["exec"]) == (5, "tr [a-z] [A-Z]")


def test_one_in_use_stays_and_another_goes(filled: Api, people: People) -> None:
    page = people.enter("/definitions/1/")
    page.get_by_role("link", name="Remove …").click()
    expect(page.get_by_text("An operation runs it: remove that first.")).to_be_visible()
    expect(page.get_by_role("link", name="upper", exact=True)).to_be_visible()
    assert page.get_by_role("button", name="Remove", exact=True).count() == 0
    number = filled.post("/api/process_definition/", UPPER).json()["id"]
    page.goto(f"{filled.url}/definitions/{number}/remove/")
    # it comes into use while somebody is asked
    used = {**OPERATION, "name": "late", "process_definition_id": number}
    assert filled.post("/api/operations/", used).status_code == 201
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("alert").last).to_contain_text("is used by operation 'late'")
    filled.request("DELETE", "/api/operations/late/")
    page.get_by_role("link", name=f"Back to /definitions/{number}/").click()
    expect(page.get_by_text("No operation runs it.")).to_be_visible()
    page.get_by_role("link", name="Remove …").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("status")).to_have_text(f"definition {number} removed")


def test_everybody_sees_their_own_and_who_only_looks_makes_none(
    filled: Api, people: People
) -> None:
    page = people.enter("/definitions/", user=filled.add_user("vera", Role.VIEWER))
    expect(page.get_by_text("You have no definition of your own.")).to_be_visible()
    assert page.get_by_role("link", name="New definition").count() == 0
    for path, said in (("new/", "may only look"), ("1/", "no process definition 1")):
        page.goto(f"{filled.url}/definitions/{path}")
        expect(page.get_by_role("alert").last).to_contain_text(said)
