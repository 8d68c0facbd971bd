"""Users and nodes as people type them: no password on a command line, none shown twice."""

import json
from pathlib import Path

import httpx
import pytest

from tests.manager.serving import Api
from tests.tools.typist import Typist


def role(api: Api, name: str, password: str) -> str | None:
    """Return the role of whoever logs in like this; None if nobody does."""
    answer = api.get(f"/api/users/{name}/", user=(name, password))
    return str(answer.json()["role"]) if answer.is_success else None


def test_a_user_gets_a_password_that_is_printed_once(typist: Typist, module_api: Api) -> None:
    added = typist.run("user", "add", "ada", "--role", "viewer")
    password = added.stdout.removesuffix("\n")
    assert added.stderr == "user 'ada' created\n"
    assert len(password) >= 20
    assert role(module_api, "ada", password) == "viewer"
    again = typist.run("user", "add", "ada")
    assert (again.returncode, again.stdout, again.stderr.count("\n")) == (1, "", 1)
    assert {"name": "ada", "role": "viewer"}.items() <= json.loads(
        next(line for line in typist.must("user", "list", "--json").splitlines() if "ada" in line)
    ).items()
    typist.must("user", "remove", "ada")
    assert role(module_api, "ada", password) is None


def test_a_password_is_asked_for_without_echo(typist: Typist, module_api: Api) -> None:
    added = typist.on_terminal(
        "user", "add", "bea", answers="open sesame please\nopen sesame please\n"
    )
    assert added.returncode == 0, added.stdout
    assert "sesame" not in added.stdout
    assert role(module_api, "bea", "open sesame please") == "user"
    changed = typist.on_terminal(
        "user", "password", "bea", answers="a new password\na new password\n"
    )
    assert changed.returncode == 0, changed.stdout
    assert role(module_api, "bea", "a new password") == "user"
    typist.must("user", "role", "bea", "viewer")
    assert role(module_api, "bea", "a new password") == "viewer"


@pytest.mark.parametrize("answers", ["\n", "one\nother\n"])
def test_a_password_that_isnt_one_adds_nobody(
    typist: Typist, module_api: Api, answers: str
) -> None:
    done = typist.on_terminal("user", "add", "cec", answers=answers)
    assert done.returncode == 2, done.stdout
    assert module_api.get("/api/users/cec/").status_code == 404


def test_no_password_is_taken_from_the_command_line(typist: Typist) -> None:
    for arguments in (("add", "dan", "secret"), ("add", "dan", "--password", "secret")):
        assert typist.run("user", *arguments).returncode == 2


def test_a_token_logs_in_until_the_password_changes(typist: Typist, module_api: Api) -> None:
    typist.must("user", "add", "eve")
    token = typist.must("user", "token", "eve").removesuffix("\n")
    header = {"Authorization": f"Bearer {token}"}

    def status() -> int:
        url = f"{module_api.url}/api/users/eve/"
        return httpx.get(url, headers=header, trust_env=False, timeout=10).status_code

    assert status() == 200
    password = typist.must("user", "password", "eve", "--generate").removesuffix("\n")
    assert status() == 401
    assert role(module_api, "eve", password) == "user"


def test_who_may_not_is_told_so_in_one_line(typist: Typist, module_api: Api) -> None:
    fay = Typist.at(module_api.url, typist.folder, module_api.add_user("fay"))
    for arguments in (("user", "list"), ("user", "add", "fay"), ("node", "add", "n9")):
        done = fay.run(*arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert not (typist.folder / "agent.json").exists()
    assert fay.must("user", "token", "fay")


def test_a_node_gets_a_file_that_its_owner_alone_reads(typist: Typist, tmp_path: Path) -> None:
    arguments = ("--applications", "resize, ocr", "--slots", "3", "--output", "rack.json")
    added = typist.run("node", "add", "rack-1", *arguments)
    assert (added.returncode, added.stdout) == (0, "")
    assert "streamboss agent --config rack.json" in added.stderr
    file = tmp_path / "rack.json"
    assert file.stat().st_mode & 0o777 == 0o600
    config = json.loads(file.read_text())
    assert (config["name"], config["offers"], config["slots"]) == ("rack-1", ["resize", "ocr"], 3)
    assert config["amqp_urls"][0] not in added.stderr
    listed = [json.loads(line)["name"] for line in typist.must("nodes", "--json").splitlines()]
    assert "rack-1" in listed
    assert typist.must("node", "list") == typist.must("nodes")
    assert "rack-1" in typist.must("status")

    text = file.read_text()
    taken = typist.run("node", "add", "rack-2", "--output", "rack.json")
    assert (taken.returncode, taken.stderr.count("\n")) == (1, 1)
    assert file.read_text() == text
    typist.must("node", "remove", "rack-1")
    assert typist.run("node", "remove", "rack-1").returncode == 1
    assert typist.run("node", "remove", "rack-2").returncode == 1


@pytest.mark.parametrize(
    "arguments", [("a.b",), ("n2", "--applications", " , "), ("n2", "--output", "no/such/place")]
)
def test_a_node_that_cant_be_added_leaves_no_file(
    typist: Typist, arguments: tuple[str, ...]
) -> None:
    done = typist.run("node", "add", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert not list(typist.folder.iterdir())
    assert typist.run("node", "remove", "n2").returncode == 1


def test_a_token_is_listed_and_revoked(typist: Typist, module_api: Api) -> None:
    typist.must("user", "add", "gus")
    token = typist.must("user", "token", "gus", "--label", "nightly").strip()
    shown = json.loads(typist.must("user", "tokens", "gus", "--json"))
    assert shown["label"] == "nightly"
    typist.must("user", "revoke", "gus", shown["id"])
    header = {"Authorization": f"Bearer {token}"}
    url = f"{module_api.url}/api/users/gus/"
    assert httpx.get(url, headers=header, trust_env=False, timeout=10).status_code == 401
    told = typist.must("activity", "--kind", "token", "--name", "gus").splitlines()
    assert [line.split("\t")[1] for line in told[1:]] == ["token.revoked", "token.created"]
