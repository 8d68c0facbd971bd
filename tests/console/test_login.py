"""Who gets in, how, and what a form must prove."""

import re
from collections.abc import Iterator

import httpx
import pytest

from manager.model import Role
from manager.throttle import FREE
from streams.settings import Settings
from tests.manager.serving import ADMIN, Api, serving

NOBODY_THERE = Settings(
    amqp_urls=("amqp://x:secret@127.0.0.1:1/",), broker_api_url="http://127.0.0.1:1"
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A manager without a broker."""
    with serving(NOBODY_THERE, f"sqlite:///{tmp_path_factory.mktemp('m')}/manager.db") as api:
        yield api


@pytest.fixture
def http(served: Api) -> Iterator[httpx.Client]:
    """A browser of few words."""
    with httpx.Client(base_url=served.url, trust_env=False, timeout=30) as client:
        yield client


def log_in(
    http: httpx.Client, user: tuple[str, str] = ADMIN, place: str = "/", **headers: str
) -> httpx.Response:
    fields = {"name": user[0], "password": user[1], "next": place}
    return http.post("/login/", data=fields, headers=headers)


def word(http: httpx.Client) -> str:
    found = re.search(r'name="word" value="([0-9a-f]+)"', http.get("/streams/").text)
    assert found
    return found[1]


def test_whoever_is_not_logged_in_is_asked_and_led_back(http: httpx.Client) -> None:
    asked = http.get("/streams/?find=a")
    assert asked.status_code == 303
    assert asked.headers["location"] == "/login/?next=/streams/%3Ffind%3Da"
    answer = log_in(http, place="/streams/?find=a")
    assert (answer.status_code, answer.headers["location"]) == (303, "/streams/?find=a")
    assert http.get("/streams/?find=a").status_code == 200


@pytest.mark.parametrize("place", ["//evil.example", "https://evil.example/", "/\\evil.example"])
def test_nobody_is_led_to_another_site(http: httpx.Client, place: str) -> None:
    assert log_in(http, place=place).headers["location"] == "/"


def test_the_cookie_is_the_browsers_alone(http: httpx.Client) -> None:
    cookie = log_in(http).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    host = f"{http.base_url.host}:{http.base_url.port}"
    assert "Secure" in log_in(http, origin=f"https://{host}").headers["set-cookie"]


def test_pages_let_nothing_foreign_in(http: httpx.Client) -> None:
    log_in(http)
    policy = http.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_a_form_of_another_site_or_session_does_nothing(http: httpx.Client, served: Api) -> None:
    assert log_in(http, origin="https://evil.example").status_code == 403
    log_in(http)
    fields = {"word": word(http)}
    foreign = {"origin": "https://evil.example"}
    assert http.post("/logout/", data=fields, headers=foreign).status_code == 403
    assert http.post("/logout/", data={"word": "0" * 64}).status_code == 403
    assert http.post("/logout/").status_code == 403
    assert http.get("/streams/").status_code == 200
    assert http.post("/logout/", data=fields).status_code == 303
    assert http.get("/streams/").status_code == 303


def test_another_password_ends_the_session_and_a_role_counts_at_once(
    http: httpx.Client, served: Api
) -> None:
    log_in(http, served.add_user("ada", Role.USER))
    form = {"word": word(http), "name": "a"}
    served.request("PATCH", "/api/users/ada/", {"role": "viewer"})
    assert http.post("/new/stream/", data=form).status_code == 403
    served.request("PATCH", "/api/users/ada/", {"password": "quite another one"})
    assert http.get("/streams/").status_code == 303


def test_who_guesses_has_to_wait(http: httpx.Client, served: Api) -> None:
    bob = served.add_user("bob")
    for _ in range(FREE):
        answer = log_in(http, ("bob", "wrong"))
        assert answer.status_code == 401
        assert "user name or password is wrong" in answer.text
    answer = log_in(http, bob)
    assert answer.status_code == 429
    assert re.search(r"try again in \d+ s", answer.text)


def test_who_mistyped_types_only_the_password_anew(http: httpx.Client) -> None:
    assert re.search(r'name="name"[^>]* autofocus', http.get("/login/").text)
    refused = log_in(http, ("ned", "wrong")).text
    assert re.search(r'name="password"[^>]* autofocus', refused)
    assert refused.count("autofocus") == 1


def test_an_api_takes_no_cookie(http: httpx.Client) -> None:
    assert http.get("/api/streams/").status_code == 401
    assert http.get("/nothing/").status_code in {303, 404}
