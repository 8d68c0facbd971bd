"""agent.json: good ones, and every way to be bad."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from agent.node.config import AgentConfig
from agent.node.scratch import Scratch
from streams.errors import SettingsError

URL = "amqp://node-n:secret@127.0.0.1:5672/v"


def written(tmp_path: Path, content: Any, mode: int = 0o600) -> Path:
    path = tmp_path / "agent.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return path


def test_a_file_as_node_add_makes_it_is_read(tmp_path: Path) -> None:
    config = AgentConfig.load(
        written(
            tmp_path,
            {"name": "n", "amqp_urls": [URL], "offers": ["any"], "slots": 200, "scratch": "/tmp/x"},
        )
    )
    assert (config.name, config.slots, config.offers) == ("n", 200, ("any",))
    assert config.scratch == Path("/tmp/x")
    assert "secret" not in repr(config)


def test_what_has_a_default_may_be_left_out(tmp_path: Path) -> None:
    config = AgentConfig.load(written(tmp_path, {"name": "n", "amqp_urls": [URL]}))
    assert config.offers == ("any",)
    assert config.slots >= 2


def test_every_problem_is_named_at_once_and_no_password(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"name": "a.b", "amqp_urls": ["http://u:secret@h/"], "slots": 0, "scratch": "here"},
    )
    with pytest.raises(SettingsError) as caught:
        AgentConfig.load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    for part in ("name: node name 'a.b'", "amqp_urls: each must look like", "slots:", "scratch:"):
        assert part in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("content", "says"),
    [("{", "not JSON"), ("[]", "must hold a JSON object"), ({}, "name: is missing")],
)
def test_a_file_that_holds_no_configuration_is_refused(
    tmp_path: Path, content: Any, says: str
) -> None:
    with pytest.raises(SettingsError, match=says):
        AgentConfig.load(written(tmp_path, content))


def test_a_missing_file_is_one_line_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"No such file.*'streamboss node add NAME'"):
        AgentConfig.load(tmp_path / "agent.json")


def test_a_file_that_others_may_read_and_a_field_of_tomorrow_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, {"name": "n", "amqp_urls": [URL], "colour": "red"}, mode=0o644)
    with caplog.at_level(logging.WARNING):
        AgentConfig.load(path)
    assert "chmod 600" in caplog.text
    assert "colour: unknown field" in caplog.text
    assert "secret" not in caplog.text


def test_a_scratch_folder_is_emptied_and_serves_one_agent(tmp_path: Path) -> None:
    left = tmp_path / "scratch" / "operators" / "7"
    left.mkdir(parents=True)
    (left / "file").write_text("of an agent that was killed")
    scratch = Scratch(tmp_path / "scratch", "n")
    assert list(scratch.make(7).iterdir()) == []
    with pytest.raises(SettingsError, match="another agent uses it"):
        Scratch(tmp_path / "scratch", "n")
    scratch.close()
    Scratch(tmp_path / "scratch", "n").close()


def test_a_scratch_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"scratch .*: Not a directory"):
        Scratch(tmp_path / "file" / "below", "n")
