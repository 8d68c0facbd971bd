"""Logins: passwords, tokens, roles, the first admin."""

import time

import httpx
import pytest

from manager.errors import UnauthorizedError
from manager.model import Role, User
from manager.store import Store
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
    changed = api.request("PATCH", "/api/users/ada/", {"password": "new"}, user=ada)
    assert changed.status_code == 200
    assert api.get("/api/streams/", user=None, headers=headers).status_code == 401
    assert api.get("/api/streams/", user=("ada", "new")).status_code == 200


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !!!", "Basic YWRh", "Bearer", "Bearer x", "Digest x", "\xff"]
)
def test_any_other_login_is_401_and_says_how(api: Api, header: str) -> None:
    headers = {b"authorization": header.encode("latin-1")} if header else {}
    answer = api.get("/api/streams/", user=None, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert answer.json()["problems"]


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
    body = {"name": "ada", "password": "p", "role": "viewer"}
    answer = api.post("/api/users/", body)
    assert (answer.status_code, answer.headers["location"]) == (201, "/api/users/ada/")
    assert "password" not in answer.text
    assert api.post("/api/users/", body).status_code == 200
    assert api.post("/api/users/", {**body, "role": "user"}).status_code == 409
    ada = ("ada", "p")
    assert api.get("/api/users/ada/", user=ada).json()["role"] == "viewer"
    assert api.get("/api/users/boss/", user=ada).status_code == 403
    assert api.request("PATCH", "/api/users/ada/", {"role": "admin"}, user=ada).status_code == 403
    assert api.request("DELETE", "/api/users/boss/").status_code == 409
    assert api.request("DELETE", "/api/users/ada/").status_code == 204
    assert api.get("/api/streams/", user=ada).status_code == 401
