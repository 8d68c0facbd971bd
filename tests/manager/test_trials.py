"""`/api/process_definition/try/`: a real agent runs the program, and nothing of it stays."""

import json
import os
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from manager.dispatcher import NodeView
from manager.errors import ConflictError
from manager.model import NodeState, Role
from manager.trials import choose
from streams.control import TRIAL_BYTES
from tests.agent.node.playing import ROOT, RunningAgent, running_agent
from tests.eventually import eventually
from tests.manager.serving import ADMIN, Api, serving
from tests.rabbit import BrokerNode

TRY = "/api/process_definition/try/"
UPPER = {"name": "Upper", "application": "upper", "exec": "tr a-z A-Z"}


@pytest.fixture(scope="module")
def there(
    broker_node: BrokerNode, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Api, RunningAgent]]:
    """A manager, and a node that offers the application."""
    with _deployed(broker_node, tmp_path_factory.mktemp("trials"), namespaces=True) as made:
        yield made


@contextmanager
def _deployed(
    broker_node: BrokerNode, folder: Path, *, namespaces: bool
) -> Iterator[tuple[Api, RunningAgent]]:
    with (
        broker_node.vhost() as settings,
        serving(settings, f"sqlite:///{folder}/manager.db") as api,
    ):
        made = api.post("/api/nodes/", {"name": "n1", "offers": ["upper"], "slots": 2}).json()
        config = json.dumps({**made["config"], "scratch": str(folder / "scratch")})
        with running_agent(folder, "", namespaces=namespaces, config=config) as agent:
            eventually(lambda: tried(api).status_code == 200, within_s=30, what="a node is ready")
            yield api, agent


def tried(api: Api, message: str = "hello", **fields: Any) -> Any:
    return api.post(TRY, {"definition": {**UPPER, **fields}, "message": message})


def told(api: Api, message: str = "hello", **fields: Any) -> Any:
    answer = tried(api, message, **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def outputs(answer: Any) -> list[bytes]:
    return [b64decode(output["body_base64"]) for output in answer["outputs"]]


def test_what_comes_out_is_told_and_nothing_is_saved(there: tuple[Api, RunningAgent]) -> None:
    api, _ = there
    answer = told(api)
    assert outputs(answer) == [b"HELLO"]
    assert (answer["node"], answer["ok"], answer["exit_status"]) == ("n1", True, "0")
    assert answer["duration_s"] > 0
    binary = b64encode(b"a\0\xff").decode()
    answer = api.post(TRY, {"definition": UPPER, "message_base64": binary}).json()
    assert outputs(answer) == [b"A\0\xff"]
    assert api.get("/api/process_definition/").json()["meta"]["total_count"] == 0
    asked = api.get("/api/activity/", params={"kind": "trial"}).json()["objects"]
    assert asked[0]["event"] == "trial.asked"


def test_a_service_answers_as_in_an_operation(there: tuple[Api, RunningAgent]) -> None:
    api, _ = there
    answer = told(api, "hello", process_type="service")
    assert outputs(answer) == [b"HELLO"]
    assert answer["ok"]


def test_a_failure_is_judged_as_an_operator_would(there: tuple[Api, RunningAgent]) -> None:
    api, _ = there
    answer = told(api, exec="echo it broke >&2; exit 65")
    assert not answer["ok"]
    assert (answer["exit_status"], answer["reason"]) == ("65", "exit status 65")
    assert answer["outcome"] == "no other attempt, the dead letters"
    assert answer["stderr"].strip() == "it broke"
    answer = told(api, exec="no-such-program-anywhere")
    assert "not found on PATH" in answer["reason"]
    assert answer["outcome"].startswith("the operation would be 'failed'")


@pytest.mark.parametrize(
    ("exec_", "kind", "reason"),
    [
        ("trap '' TERM; sleep 61", "single", "no answer within 1 s (timeout)"),
        ("sleep 61", "service", "no answer within 1 s (timeout)"),
        ("yes", "single", "more than 16777216 bytes of output"),
        ("yes", "service", "more than 16777216 bytes of output"),
    ],
)
def test_a_program_that_goes_on_for_ever_is_ended(
    there: tuple[Api, RunningAgent], exec_: str, kind: str, reason: str
) -> None:
    api, agent = there
    answer = told(api, exec=exec_, process_type=kind, timeout=1, max_output_bytes=10**9)
    assert answer["reason"] == reason
    assert sum(len(body) for body in outputs(answer)) <= TRIAL_BYTES
    _is_clean(agent)


def test_a_daemon_that_a_program_leaves_goes_with_it(there: tuple[Api, RunningAgent]) -> None:
    api, agent = there
    answer = told(api, exec="setsid -f sleep 61 </dev/null >/dev/null 2>&1; tr a-z A-Z")
    assert outputs(answer) == [b"HELLO"]
    _is_clean(agent)


def test_without_namespaces_a_daemon_goes_too(broker_node: BrokerNode, tmp_path: Path) -> None:
    with _deployed(broker_node, tmp_path, namespaces=False) as (api, agent):
        answer = told(
            api, exec="setsid -f sleep 61 </dev/null >/dev/null 2>&1; sleep 61", timeout=1
        )
        assert answer["reason"] == "no answer within 1 s (timeout)"
        _is_clean(agent)


def test_much_output_is_cut_and_its_size_is_told(there: tuple[Api, RunningAgent]) -> None:
    api, _ = there
    answer = told(api, exec="head -c 1000000 /dev/zero; head -c 10000 /dev/zero | tr '\\0' e >&2")
    (output,) = answer["outputs"]
    assert output["size_bytes"] == 1000000
    assert len(b64decode(output["body_base64"])) == TRIAL_BYTES
    assert 0 < len(answer["stderr"]) <= 4096


def test_who_may_not_and_what_cannot_be_tried_is_said(there: tuple[Api, RunningAgent]) -> None:
    api, _ = there
    viewer = api.add_user("eve", Role.VIEWER)
    assert api.post(TRY, {"definition": UPPER}, user=viewer).status_code == 403
    answer = tried(api, application="other")
    assert answer.status_code == 409
    (problem,) = answer.json()["problems"]
    assert problem.startswith("no node that is ready offers the application 'other': start")
    answer = api.post(TRY, {"definition": {}, "message": "x" * (TRIAL_BYTES + 1)})
    assert answer.status_code == 422
    assert len(answer.json()["problems"]) >= 4
    assert tried(api, "ü" * TRIAL_BYTES).status_code == 422


def test_the_command_tries_each_line_on_a_node(
    there: tuple[Api, RunningAgent], tmp_path: Path
) -> None:
    api, _ = there
    file = tmp_path / "upper.json"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "STREAMBOSS_MANAGER_URL": api.url}
    env |= {"STREAMBOSS_USER": ADMIN[0], "STREAMBOSS_PASSWORD": ADMIN[1]}

    def run(exec_: str) -> subprocess.CompletedProcess[bytes]:
        file.write_text(json.dumps({"definition": {**UPPER, "exec": exec_}}))
        return subprocess.run(
            [sys.executable, "-m", "tools.main", "try", str(file), "--on-node"],
            cwd=tmp_path,
            env=env,
            input=b"one\ntwo\n",
            capture_output=True,
            timeout=60,
            check=False,
        )

    done = run("tr a-z A-Z")
    assert (done.returncode, done.stdout) == (0, b"ONE\nTWO\n"), done.stderr
    assert done.stderr.count(b"on node n1: ") == 2
    done = run("exit 3")
    assert done.returncode == 1
    assert b"failed: exit status 3: 3 more attempts, then the dead letters" in done.stderr


def test_a_node_is_chosen_that_can_try_and_says_why_where_none_can() -> None:
    def view(name: str, offer: str, *, tries: bool = True) -> NodeView:
        return NodeView(name, NodeState.READY, offers=(offer,), slots=1, tries=tries)

    assert choose([view("a", "any"), view("b", "upper")], "upper", ()) == "b"
    assert choose([view("a", "any"), view("b", "upper")], "upper", {"b"}) == "a"
    with pytest.raises(ConflictError, match=r"runs an older release.*: update the agent of a$"):
        choose([view("a", "any", tries=False), view("b", "other")], "upper", ())
    with pytest.raises(ConflictError, match="is trying another program"):
        choose([view("a", "any")], "upper", {"a"})
    lost = NodeView("a", NodeState.LOST, tries=True)
    with pytest.raises(ConflictError, match="no node that is ready"):
        choose([lost], "upper", ())


def _is_clean(agent: RunningAgent) -> None:
    """Wait until nothing of a program is left."""

    def left() -> list[bytes]:
        found = []
        for pid, _ in agent.family():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            found += [word for word in words if word in {b"61", b"yes", b"agent.trying"}]
        return found

    eventually(lambda: not left(), what=f"nothing is left of the program: {left()}")
