"""The whole story on the local cloud: built, tried, run by hand, used, saved, ended."""

import json
import re

import pytest

from tests.appliances.desk import Desk, over_ssh, png, size_of, value
from tests.appliances.elastic import BOOT_S, Fleet
from tests.embedded import ROOT
from tests.eventually import eventually
from tools.stack import down, up

pytestmark = pytest.mark.timeout(600)  # machines on a busy computer

HALVE = "/opt/my-operation/my-operation.py"


def _halves(desk: Desk, application: str, exec_: str) -> None:
    """Let a machine that offers `application` halve a picture."""
    person = desk.person()
    document = {"definition": {"name": "Half", "application": application, "exec": exec_}}
    (desk.folder / "definition.json").write_text(json.dumps(document))
    number = desk.fab("register_definition", "--file", "definition.json").strip()
    assert len(number) == 1  # boot tests take no number
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
    went_in = desk.fab("images", "--contents", value(built, "image").split()[0])
    assert "appliance: my-operation\n" in went_in
    assert re.search(r"^bubblewrap\t[0-9]", went_in, re.MULTILINE)
    assert re.search(r"^pika==[0-9.]+$", went_in, re.MULTILINE)
    assert "not built from this folder" in desk.refused("images", "--contents", "another")
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
def test_a_machine_saved_at_the_end_of_its_lease_is_clean(desk: Desk, stream_agent: str) -> None:
    # Given a machine that lets us in, and one that doesn't, when their leases end
    reached = desk.fab("run_appliance", "--name", stream_agent, "--newname", "clean")
    shut = desk.fab("run_appliance", "--name", stream_agent, "--newname", "as-it-is")
    nodes = {node["name"] for node in desk.person().http("GET", "nodes/")["objects"]}
    over_ssh(shut, "systemctl stop ssh.socket ssh.service")
    for each in (reached, shut):
        desk.end_lease(value(each, "handle"))
    # Then both become images, and what isn't clean is said aloud
    done = desk.run("collect_garbage")
    assert done.returncode == 0, done.stderr
    assert f"warning: {value(shut, 'handle')} becomes image as-it-is as it is" in done.stderr
    assert "image clean" not in done.stderr
    assert not desk.left()
    again = desk.fab("run_appliance", "--name", "clean")
    assert over_ssh(again, "grep -c . ~/.ssh/authorized_keys") == "1\n"
    # and their nodes are gone
    left = {node["name"] for node in desk.person().http("GET", "nodes/")["objects"]}
    assert left & nodes == {"local"}


@pytest.mark.long
def test_without_its_manager_a_machine_runs_and_no_image_goes(
    desk: Desk, stream_agent: str
) -> None:
    run = desk.fab("run_appliance", "--name", stream_agent)
    down(desk.folder)
    try:
        alone = desk.run("run_appliance", "--name", stream_agent)
        assert "doesn't answer: the machine's agent will have nobody" in alone.stderr
        assert alone.returncode == 0, alone.stderr
        for each in (run, alone.stdout):
            desk.fab("terminate", "--handle", value(each, "handle"))
        desk.fab("collect_garbage")
    finally:
        up(desk.folder, env=desk.environment)
    # its node goes as soon as the manager can be asked
    assert re.search("remove node stream-agent-.*: it has no machine", desk.fab("collect_garbage"))
    assert "remove node" not in desk.fab("collect_garbage")


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


def test_a_machine_comes_with_demand_and_goes_with_it(desk: Desk, stream_agent: str) -> None:
    fleet = Fleet(desk)
    for name in ("louder", "loudest"):
        fleet.operation(name, stream_agent)
    # When somebody consumes, a machine is launched for both
    louder, loudest = fleet.consume("louder"), fleet.consume("loudest")
    fleet.publish("louder", "hello")
    assert louder.line(BOOT_S) == "HELLO"
    fleet.publish("loudest", "you")
    assert loudest.line(30) == "YOU"
    (machine,) = fleet.machines()
    assert (machine["phase"], machine["handle"]) == ("ready", desk.left()[0])
    # When nobody does any more, it is gone
    fleet.remove("louder", "loudest")
    fleet.until_gone()
    life = ("launching", "booting", "ready", "ending", "ended")
    told = [f"{machine['name']} {phase}" for phase in life]
    eventually(lambda: fleet.phases()[-len(life) :] == told, what="its life is told")
