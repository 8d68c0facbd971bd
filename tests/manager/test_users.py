"""Logins: passwords, tokens, roles, the first admin."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from manager.api.bodies import UserBody, UserPatch
from manager.api.reading import problems
from manager.errors import ThrottledError, UnauthorizedError
from manager.model import Role, User
from manager.store import Store
from manager.throttle import FREE, Throttle
from manager.users import Users
from tests.manager.serving import Api


def test_the_first_admin_follows_the_settings(store: Store) -> None:
    Users(store, first=("boss", "one")).prepare()
    again = Users(store, first=("boss", "two"))
    assert again.by_password("boss", "two") == User("boss", Role.ADMIN)
    with pytest.raises(UnauthorizedError):
        again.by_password("boss", "one")


def test_the_first_admins_tokens_outlive_a_restart(store: Store) -> None:
    users = Users(store, first=("boss", "one"))
    users.prepare()
    token = users.new_token("boss")
    assert Users(store, first=("boss", "one")).by_token(token).name == "boss"


def test_a_verified_login_is_quick_the_second_time(store: Store) -> None:
    users = Users(store, first=("boss", "one"))
    users.by_password("boss", "one")
    before = time.process_time()
    for _ in range(100):
        users.by_password("boss", "one")
    assert time.process_time() - before < 1  # argon2 alone would take ten times as long


def test_another_password_ends_the_remembered_login_in_every_manager(store: Store) -> None:
    here, elsewhere = Users(store, first=("boss", "one")), Users(store)
    here.by_password("boss", "one")
    elsewhere.change("boss", password="two")
    with pytest.raises(UnauthorizedError):
        here.by_password("boss", "one")
    assert here.by_password("boss", "two").name == "boss"


@pytest.mark.parametrize("name", ["nobody", "", "a\0b", "x" * 1000, "ü"])
def test_names_that_nobody_has_are_just_wrong(store: Store, name: str) -> None:
    with pytest.raises(UnauthorizedError, match="user name or password is wrong"):
        Users(store, first=("boss", "one")).by_password(name, "one")


def test_no_secret_is_kept_as_it_is(store: Store) -> None:
    users = Users(store, first=("boss", "a-plain-password"))
    users.prepare()
    token = users.new_token("boss")
    login = store.find_login("boss")
    assert login is not None
    assert login.password_hash.startswith("$argon2id$")
    assert store.find_token(token) is None  # its hash is what is kept


def test_a_token_logs_in_and_ends_with_the_password(api: Api) -> None:
    ada = api.add_user("ada")
    answer = api.request("POST", "/api/users/ada/tokens/", user=ada)
    assert answer.status_code == 201
    headers = {"authorization": f"Bearer {answer.json()['token']}"}
    assert api.get("/api/streams/", user=None, headers=headers).status_code == 200
    body = {"password": "a new password", "current_password": ada[1]}
    changed = api.request("PATCH", "/api/users/ada/", body, user=ada)
    assert changed.status_code == 200
    assert api.get("/api/streams/", user=None, headers=headers).status_code == 401
    assert api.get("/api/streams/", user=("ada", "a new password")).status_code == 200


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !!!", "Basic YWRh", "Bearer", "Bearer x", "Digest x", "\xff"]
)
def test_any_other_login_is_401_and_says_how(api: Api, header: str) -> None:
    headers = {b"authorization": header.encode("latin-1")} if header else {}
    answer = api.get("/api/streams/", user=None, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert answer.json()["problems"]


def test_who_has_a_token_and_not_the_password_cannot_change_it(api: Api) -> None:
    ada, place, new = api.add_user("ada"), "/api/users/ada/", "a new password"
    token = api.request("POST", f"{place}tokens/", user=ada).json()["token"]
    found = {"headers": {"authorization": f"Bearer {token}"}, "user": None}
    for wrong in ({}, {"current_password": None}, {"current_password": "guessed"}):
        refused = api.request("PATCH", place, {"password": new, **wrong}, **found)
        assert refused.status_code == 422
        assert refused.json()["problems"][0].startswith("current_password: ")
    # an admin gives others another one, but not themselves
    assert api.request("PATCH", "/api/users/boss/", {"password": new}).status_code == 422
    given = {"password": new, "current_password": ada[1]}
    assert api.request("PATCH", place, given, **found).status_code == 200
    assert api.request("PATCH", place, {"password": "and one more!"}).status_code == 200
    # and guessing there is guessing
    guess = {"password": new, "current_password": "guessed"}
    bob = api.add_user("bob")
    token = api.request("POST", "/api/users/bob/tokens/", user=bob).json()["token"]
    found = {"headers": {"authorization": f"Bearer {token}"}, "user": None}
    codes = [api.request("PATCH", "/api/users/bob/", guess, **found).status_code for _ in range(7)]
    assert codes == [422] * FREE + [429] * 2


@pytest.mark.parametrize("password", ["", "x" * 129])
def test_a_password_is_not_empty_and_has_at_most_128_characters(password: str) -> None:
    for kind, given in ((UserBody, {"name": "ada"}), (UserPatch, {})):
        (problem,) = problems(kind, {**given, "password": password})
        assert problem.startswith("password: ")
        assert not problems(kind, {**given, "password": "a"})


def test_who_guesses_many_at_once_gets_no_more_tries(sqlite_url: str) -> None:
    users = Users(Store(sqlite_url), first=("boss", "the boss's secret"))
    users.prepare()

    def guess(number: int) -> type[Exception]:
        try:
            users.log_in("boss", f"guess {number}", "192.0.2.1")
        except (UnauthorizedError, ThrottledError) as error:
            return type(error)
        raise AssertionError

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(guess, range(20)))
    # two are looked at, at the same time: of them one may have begun before the other was wrong
    assert answers.count(UnauthorizedError) <= FREE + 1
    assert answers.count(ThrottledError) >= 20 - FREE - 1


def test_nobody_has_more_than_a_hundred_tries_an_hour() -> None:
    now_s, tries = 0.0, 0
    throttle = Throttle(clock=lambda: now_s)
    while now_s < 3600:
        tries += 1
        throttle.fail("user ada")
        now_s += max(throttle.pause_s("user ada"), 0.001)
    assert tries < 100


def test_a_browsers_kept_login_does_nothing_for_another_site(api: Api) -> None:
    # Given a browser that logged in by basic authentication, which it repeats for everybody
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        for method, path in (("POST", "/api/streams/"), ("GET", "/api/users/")):
            refused = api.request(method, path, {"name": "s"}, headers={"origin": origin})
            assert refused.status_code == 403
            assert "another site" in refused.json()["detail"]
    assert not api.services.store.find_stream("s")
    assert api.post("/api/streams/", {"name": "s"}, headers={"origin": api.url}).status_code == 201


def test_who_logs_in_and_who_is_refused_is_in_the_log(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "manager")
    ada = api.add_user("ada")
    for _ in range(2):
        assert api.get("/api/users/", user=ada).status_code == 403
    assert api.get("/api/streams/", user=("ada", "wrong")).status_code == 401
    logged = [record.getMessage() for record in caplog.records]
    assert logged.count("user ada logged in from 127.0.0.1") == 1
    assert logged.count("a wrong login from 127.0.0.1") == 1
    refused = [
        line for line in logged if line.startswith("refused: GET /api/users/ from 127.0.0.1")
    ]
    assert len(refused) == 2
    assert "'ada'" in refused[0]
    assert ada[1] not in " ".join(logged)


def test_buckets_are_granted_by_name_and_taken_away_again(api: Api) -> None:
    ada, place = api.add_user("ada"), "/api/users/ada/"
    assert api.get(place, user=ada).json()["buckets"] == []
    granted = api.request("PATCH", place, {"buckets": ["scans", "photos", "scans"]})
    assert granted.json()["buckets"] == ["photos", "scans"]
    assert api.services.store.readable_buckets() == {"boss": None, "ada": ("photos", "scans")}
    (told,) = api.get("/api/activity/?kind=user&name=ada").json()["objects"][:1]
    assert (told["changed"], told["buckets"]) == (["buckets"], ["photos", "scans"])
    for wrong in ("", "a", "../archives", "a b", "x" * 64, "a\n"):
        answer = api.request("PATCH", place, {"buckets": [wrong]})
        assert answer.status_code == 422, wrong
    assert api.request("PATCH", place, {"buckets": []}).json()["buckets"] == []


def test_a_password_may_be_any_text(api: Api) -> None:
    body = {"name": "zoe", "password": "pä:ss wörd ☃"}
    assert api.post("/api/users/", body).status_code == 201
    login = httpx.BasicAuth("zoe", "pä:ss wörd ☃")
    assert api.get("/api/streams/", user=login).status_code == 200


def test_admins_manage_users_and_others_themselves(api: Api) -> None:
    body = {"name": "ada", "password": "ada's own words", "role": "viewer"}
    answer = api.post("/api/users/", body)
    assert (answer.status_code, answer.headers["location"]) == (201, "/api/users/ada/")
    assert "password" not in answer.text
    assert api.post("/api/users/", body).status_code == 200
    assert api.post("/api/users/", {**body, "role": "user"}).status_code == 409
    ada = ("ada", "ada's own words")
    assert api.get("/api/users/ada/", user=ada).json()["role"] == "viewer"
    assert api.get("/api/users/boss/", user=ada).status_code == 403
    assert api.request("PATCH", "/api/users/ada/", {"role": "admin"}, user=ada).status_code == 403
    assert api.request("DELETE", "/api/users/boss/").status_code == 409
    assert api.request("DELETE", "/api/users/ada/").status_code == 204
    assert api.get("/api/streams/", user=ada).status_code == 401
