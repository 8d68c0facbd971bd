"""The whole story on the local cloud: built, tried, run by hand, used, saved, ended."""

import json

import pytest

from tests.appliances.desk import Desk, over_ssh, png, size_of, value
from tests.embedded import ROOT

pytestmark = pytest.mark.timeout(600)  # machines on a busy computer

HALVE = "/opt/my-operation/my-operation.py"


def _halves(desk: Desk, application: str, exec_: str) -> None:
    """Let a machine that offers `application` halve a picture."""
    person = desk.person()
    document = {"definition": {"name": "Half", "application": application, "exec": exec_}}
    (desk.folder / "definition.json").write_text(json.dumps(document))
    number = desk.fab("register_definition", "--file", "definition.json").strip()
    names = ("--input", "mystream", "--output", "outputstream")
    desk.fab("create_operation", "--name", "my-operation", "--definition", number, *names)
    taken = person.consume("outputstream", "--count", "1", "--output-dir", "taken")
    person.until("my-operation", "running")
    nodes = person.http("GET", "operations/my-operation/")["nodes"]
    assert [node.rpartition("-")[0] for node in nodes] == [application]
    (desk.folder / "picture.png").write_bytes(png(64, 48))
    person.run("publish.py", "mystream", "--file", "picture.png", "--content-type", "image/png")
    taken.line(60)
    (half,) = (path for path in (desk.folder / "taken").iterdir() if path.is_file())
    assert size_of(half.read_bytes()) == (32, 24)
    person.leave()
    desk.fab("remove_operation", "--name", "my-operation")


def test_an_appliance_is_built_used_saved_and_ended(desk: Desk, stream_agent: str) -> None:
    # Given an appliance with a program, on top of the one with a stream agent
    program = str(ROOT / "tests" / "programs" / "halves_png.py")
    file = {"source": program, "target": HALVE, "mode": "0755"}
    content = {"files": [file], "checks": [f"test -x {HALVE}"]}
    recipe = desk.recipe("my-operation", **{"from": stream_agent}, **content)
    built = desk.fab("build_appliance", "--recipe", recipe)
    assert "unchanged" not in built
    assert "unchanged" in desk.fab("build_appliance", "--recipe", recipe)
    assert not desk.left()  # builder and tester are gone
    # When it is run by hand, it takes an operation
    run = desk.fab("run_appliance", "--name", "my-operation", "--hours", "744")
    handle = value(run, "handle")
    desk.fab("renew", "--handle", handle, "--hours", "2")
    assert handle in desk.fab("nodes")
    _halves(desk, "my-operation", HALVE)
    # Then it can be saved again, without what makes it this one machine, and ended
    desk.fab("save_appliance", "--handle", handle, "--newname", "mine")
    assert " mine@" in desk.fab("images")
    desk.fab("terminate", "--handle", handle)
    assert not desk.left()
    desk.fab("collect_garbage")
    assert not desk.cloud.ex_list_leftovers(min_age_s=0)
    _is_clean(desk)


def _is_clean(desk: Desk) -> None:
    """See that a machine of the saved image is another one than that which was saved."""
    run = desk.fab("run_appliance", "--name", "mine", "--hours", "1")
    told = "/root/.bash_history /var/lib/streamboss-build"
    keys = over_ssh(run, f"grep -c . ~/.ssh/authorized_keys; ls {told} || true")
    assert keys == "1\n"
    desk.fab("terminate", "--handle", value(run, "handle"))


@pytest.mark.long
@pytest.mark.usefixtures("stream_agent")
def test_the_issues_block_runs_as_shown(desk: Desk) -> None:
    recipe = desk.recipe(
        "my-operation",
        **{"from": "stream-agent"},
        packages=["imagemagick"],
        checks=["convert -version"],
        sample={"input": "some text", "output": "SOME TEXT", "exec": "tr [a-z] [A-Z]"},
    )
    desk.fab("build_appliance", "--name", "my-operation", "--recipe", recipe)
    run = desk.fab("run_appliance", "--name", "my-operation", "--hours", "744")
    _halves(desk, "my-operation", 'convert - -resize "50%" -')
    desk.fab("terminate", "--handle", value(run, "handle"))
    assert not desk.left()


@pytest.mark.long
def test_a_stream_manager_builds(desk: Desk) -> None:
    desk.fab("build_appliance", "--name", "stream-manager")
    assert not desk.left()
