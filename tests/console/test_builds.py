"""Builds that desks tell of: over HTTP, on the page, and while the manager is away."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from appliances.progress import Progress
from appliances.telling import Telling, telling
from manager.builds import BEGUN, STEP, BuildState, builds_of
from manager.client import ManagerClient
from manager.events import Event
from manager.model import Role
from tests.console.looking import HOSTILE, People, obstacles, too_wide
from tests.manager.serving import Api

BUILD = {"name": "b-1", "appliance": "resize", "cloud": "moto", "lease_hours": 2}


def test_a_build_is_seen_step_by_step_while_it_goes_on(served: Api, people: People) -> None:
    page = people.enter("/builds/", width=360)
    progress = Progress()
    with telling(served.client(), "resize", "moto", 2.0, progress) as told:
        with progress.step("launch small"):
            expect(page.get_by_role("row").filter(has_text="launch small")).to_contain_text(
                "running"
            )
        page.get_by_role("link", name="resize-").click()
        steps = page.get_by_role("table").get_by_role("row")
        with progress.step(f"install {HOSTILE}"):
            expect(steps.filter(has_text="install <script>")).to_contain_text("running")
            expect(steps.filter(has_text="launch small")).to_contain_text("done")
        told.ended("done", image="resize-1a2b")
    expect(page.locator(".state")).to_contain_text("done")
    expect(page.get_by_role("link", name="resize-1a2b")).to_be_visible()
    assert obstacles(page) == []
    assert too_wide(page) <= 0


def test_a_build_that_fails_says_why_and_no_secret(served: Api, people: People) -> None:
    progress = Progress()
    progress.hide(["open-sesame"])
    with (
        pytest.raises(RuntimeError),
        telling(served.client(), "ocr", "moto", 2.0, progress),
        progress.step("run: echo open-sesame"),
    ):
        raise RuntimeError("exit 1: open-sesame")
    (build,) = (b for b in served.client().list("builds") if b["appliance"] == "ocr")
    assert (build["state"], build["reason"]) == ("failed", "exit 1: ***")
    assert [(s["step"], s["state"]) for s in build["steps"]] == [("run: echo ***", "failed")]
    page = people.enter("/activity/?kind=build", user=served.add_user("vera", Role.VIEWER))
    expect(page.locator(".events > li.failed").first).to_contain_text("was ended")
    page.goto(f"{served.url}/builds/{build['name']}/")
    expect(page.get_by_label("Why it failed")).to_have_text("exit 1: ***")


def test_only_who_began_a_build_tells_of_it_and_its_end_is_its_end(served: Api) -> None:
    ada, bob = served.add_user("ada"), served.add_user("bob")
    step = {"step": "launch", "state": "running"}
    assert served.post("/api/builds/", BUILD, user=ada).status_code == 201
    assert served.post("/api/builds/", BUILD, user=ada).status_code == 409
    assert served.post("/api/builds/b-1/steps/", step, user=bob).status_code == 403
    assert served.post("/api/builds/b-2/steps/", step, user=ada).status_code == 404
    assert served.post("/api/builds/b-1/steps/", {"step": ""}, user=ada).status_code == 422
    assert served.post("/api/builds/b-1/end/", {"state": "done"}, user=ada).status_code == 200
    assert served.post("/api/builds/b-1/steps/", step, user=ada).status_code == 409
    assert served.get("/api/builds/b-1/").json()["state"] == "done"


def test_a_manager_that_was_away_hears_all_of_it_at_the_end(served: Api) -> None:
    # Given a manager that doesn't answer, at an address where later one does
    settings = replace(served.settings, manager_url="http://127.0.0.1:1", user="boss", password="x")
    notes = list[str]()
    with ManagerClient(settings) as away:
        told = Telling(away, "late-1", notes.append)
        told.begun("late", "moto", 2.0)
        told.step("launch", "running")
        told.step("launch", "done", 1.5)
        # When it is back
        told.manager = served.client()
        told.ended("unchanged", image="late-1a2b")
    # Then it knows everything, and nobody was bothered
    build = served.get("/api/builds/late-1/").json()
    assert (build["state"], build["steps"][0]["duration_s"]) == ("unchanged", 1.5)
    assert notes == []


def test_a_manager_that_does_not_want_to_hear_is_told_nothing_more(served: Api) -> None:
    notes = list[str]()
    told = Telling(served.client(served.add_user("vic", Role.VIEWER)), "no-1", notes.append)
    told.begun("no", "moto", 2.0)
    told.step("launch", "running")
    (note,) = notes
    assert "the manager isn't told of this build" in note
    assert "may only look" in note
    Telling(None, "nobody", notes.append).begun("no", "moto", 2.0)


def test_a_build_whose_machine_must_be_gone_is_lost() -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    fields = {"appliance": "a", "cloud": "c", "lease_hours": 2.0}
    begun = Event(BEGUN, "b", fields, by="ada", at=now)
    step = Event(STEP, "b", {"step": "install", "state": "running", "duration_s": None}, at=now)
    for hours, state in ((1, BuildState.RUNNING), (3, BuildState.LOST)):
        (build,) = builds_of([begun, step], now + timedelta(hours=hours))
        assert (build.state, build.steps[0].state) == (state, state)
