"""Users in the console: what each does with their own login, and admins with everybody's."""

import pytest
from playwright.sync_api import Page, expect

from manager.model import Role
from tests.console.looking import People, must_fit, obstacles, too_wide
from tests.manager.serving import ADMIN, Api

PAGES = ["/account/", "/users/", "/users/una/", "/new/user/"]


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_every_page_is_fit_for_everybody(
    served: Api, people: People, width: int, dark: bool
) -> None:
    served.add_user("una")
    label = "nightly <b>script</b> " + "x" * 78
    served.post("/api/users/una/tokens/", {"label": label})
    page = people.enter(width=width, dark=dark)
    for path in PAGES:
        must_fit(page, served.url + path)


def test_a_token_is_shown_once_logs_in_and_is_revoked(served: Api, people: People) -> None:
    page = people.enter("/streams/", user=served.add_user("tim", Role.VIEWER), width=360)
    page.get_by_role("link", name="tim", exact=True).click()
    page.get_by_label("New token for").fill("nightly")
    command = page.locator("[data-command^='streamboss user token'] code")
    expect(command).to_have_text("streamboss user token tim --label nightly")
    page.get_by_role("button", name="Make a token").click()
    token = page.get_by_role("status").locator("code").first.inner_text()
    assert obstacles(page) == []
    assert too_wide(page) <= 0
    # the same form sent once more
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("no other one was made")
    assert token not in page.content()
    row = page.get_by_role("row").filter(has_text="nightly")
    expect(row).to_contain_text("never")
    assert _with_token(served, token) == 200
    page.goto(f"{served.url}/account/")
    expect(row).not_to_contain_text("never")
    assert token not in page.content()
    row.get_by_role("link", name="Revoke token nightly …").click()
    page.get_by_role("button", name="Revoke", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("token revoked")
    expect(row).to_have_count(0)
    assert _with_token(served, token) == 401


def test_another_password_ends_tokens_and_other_sessions_but_this_one(
    served: Api, people: People
) -> None:
    login = served.add_user("ada")
    token = served.post("/api/users/ada/tokens/", {}, user=login).json()["token"]
    elsewhere = people.enter("/streams/", user=login)
    page = people.enter("/account/", user=login, anew=True)
    _type_password(page, "another of my own", again="another", present=login[1])
    expect(page.locator("#about-again .wrong")).to_contain_text("nothing was changed")
    assert "another of my own" not in page.content()
    assert _with_token(served, token) == 200
    _type_password(page, "another of my own", present="guessed")
    expect(page.locator("#about-current_password .wrong")).to_contain_text("isn't your present")
    _type_password(page, "another of my own", present=login[1])
    expect(page.get_by_role("status")).to_have_text("ada has another password")
    assert _with_token(served, token) == 401
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your account, ada")
    expect(elsewhere.get_by_role("button", name="Log in")).to_be_visible()
    assert served.get("/api/streams/", user=login).status_code == 401
    assert served.get("/api/streams/", user=("ada", "another of my own")).status_code == 200


def test_an_admin_adds_changes_and_removes_a_user(served: Api, people: People) -> None:
    page = people.enter("/streams/")
    page.get_by_role("link", name="Users", exact=True).click()
    page.get_by_role("link", name="New user").click()
    page.get_by_label("Name", exact=True).fill("no spaces")
    page.get_by_label("Password").fill("the first password")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#about-name .wrong")).to_contain_text("use A-Z")
    page.get_by_label("Name", exact=True).fill("eve")
    page.get_by_label("Password").fill("the first password")
    expect(page.locator("[data-command] code")).to_have_text("streamboss user add eve --role user")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("User eve")
    served.post("/api/streams/", {"name": "eves"}, user=("eve", "the first password"))
    _type_password(page, "the second password")
    expect(page.get_by_role("status")).to_have_text("eve has another password")
    page.get_by_label("Role", exact=True).select_option("viewer")
    page.get_by_role("button", name="Change the role").click()
    expect(page.get_by_role("status")).to_have_text("eve has role viewer")
    page.get_by_label("May be read by their operations").fill("scans, photos ../x")
    page.get_by_role("button", name="Change the buckets").click()
    expect(page.locator("#about-buckets .wrong")).to_be_visible()
    page.get_by_label("May be read by their operations").fill("scans, photos")
    page.get_by_role("button", name="Change the buckets").click()
    expect(page.get_by_role("status")).to_have_text("operations of eve may read scans, photos")
    shown = served.get("/api/users/eve/", user=("eve", "the second password")).json()
    assert shown["buckets"] == ["photos", "scans"]
    assert shown["role"] == "viewer"
    removed = people.enter("/streams/", user=("eve", "the second password"))
    page.get_by_role("link", name="Remove …").click()
    expect(page.get_by_text("What they own becomes yours.")).to_be_visible()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("user eve removed")
    expect(removed.get_by_role("button", name="Log in")).to_be_visible()
    assert served.get("/api/streams/eves/").json()["owner"] == ADMIN[0]


def test_the_last_admin_stays_one(served: Api, people: People) -> None:
    page = people.enter("/account/")
    page.get_by_label("Role", exact=True).select_option("user")
    page.get_by_role("button", name="Change the role").click()
    expect(page.get_by_role("alert").last).to_contain_text("admin")
    expect(page.get_by_label("Role", exact=True)).to_have_value("admin")
    page.goto(f"{served.url}/users/{ADMIN[0]}/remove/")
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("alert").last).to_contain_text("can't remove themselves")


def test_streams_on_the_broker_are_shown(served: Api, people: People) -> None:
    served.post("/api/streams/", {"name": "readings"})
    login = served.add_user("pia")
    allowed = served.request("PUT", "/api/users/pia/streams/", {"publish": ["readings"]})
    assert allowed.status_code == 200
    page = people.enter("/account/", user=login)
    expect(page.locator("dl.settings")).to_contain_text("readings")


def test_who_is_no_admin_is_refused_what_is_not_theirs(served: Api, people: People) -> None:
    served.add_user("other")
    page = people.enter("/account/", user=served.add_user("nan"))
    assert page.get_by_role("link", name="Users", exact=True).count() == 0
    assert page.get_by_label("Role", exact=True).count() == 0
    word = page.locator("[name=word]").first.get_attribute("value") or ""
    for path in ("/users/", "/new/user/", "/users/other/", "/users/other/remove/", "/users/none/"):
        page.goto(served.url + path)
        expect(page.get_by_role("alert").last).to_contain_text("only admins do this")
    deeds = ["/new/user/"]
    deeds += [
        f"/users/other/{deed}/" for deed in ("password", "role", "remove", "tokens", "buckets")
    ]
    deeds += ["/users/nan/role/", f"/users/other/tokens/{'0' * 12}/revoke/"]
    fields: dict[str, str | float | bool] = {
        "name": "mine",
        "password": "x" * 12,
        "again": "x" * 12,
    }
    fields |= {"role": "admin", "word": word}
    for path in deeds:
        answer = page.request.post(served.url + path, form=fields, max_redirects=0)
        assert (path, answer.status) == (path, 403)
    assert served.get("/api/users/nan/").json()["role"] == "user"


def _type_password(
    page: Page, password: str, *, again: str | None = None, present: str = ""
) -> None:
    if present:
        page.get_by_label("Present password").fill(present)
    page.get_by_label("New password").fill(password)
    page.get_by_label("The same again").fill(again or password)
    page.get_by_role("button", name="Change the password").click()


def _with_token(served: Api, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return served.request("GET", "/api/streams/", user=None, headers=headers).status_code
