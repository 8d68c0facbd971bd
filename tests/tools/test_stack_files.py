import json
import os
import shlex
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from streams.errors import SettingsError
from streams.settings import Settings
from tools.stack import StackError, describe, down, status, up
from tools.stack.lifecycle import _tell_of_another
from tools.stack.parts import files_of, parts_of
from tools.stack.ports import free_ports, outgoing_ports
from tools.stack.processes import Identity
from tools.stack.progress import Progress
from tools.stack.state import State, stack_folder, write_private
from tools.stack.status import _part
from tools.stack.supervisor import forget_socket, socket_path

FAR_S3 = {
    "AWS_ENDPOINT_URL_S3": "https://s3.example",
    "AWS_ACCESS_KEY_ID": "far",
    "AWS_SECRET_ACCESS_KEY": "far-away",
    "AWS_REGION": "eu-1",
}


def test_a_stack_is_found_from_any_folder_below_it(tmp_path: Path) -> None:
    (tmp_path / ".streamboss").mkdir()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert stack_folder(below) == tmp_path / ".streamboss"


def test_without_a_stack_above_one_is_made_here(tmp_path: Path) -> None:
    assert stack_folder(tmp_path) == tmp_path / ".streamboss"


def test_a_state_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    state = replace(State.new(), supervisor=Identity.of(os.getpid()), socket="/tmp/s")
    env = {"STREAMBOSS_AMQP_URL": "amqp://a:b@broker.example/", **FAR_S3}
    state = state.with_servers_of(env, tmp_path)
    state.save(tmp_path)
    assert State.load(tmp_path) == state
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "[]", '{"v": 99}', '{"v": 1}', "\xff"])
def test_a_state_that_cannot_be_read_is_an_error_that_says_what_to_do(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "state.json").write_text(text, encoding="latin-1")
    with pytest.raises(StackError, match=r"state\.json: can't be read .* remove"):
        State.load(tmp_path)


def test_no_password_shows_in_a_repr() -> None:
    state = State.new()
    state = state.with_servers_of(FAR_S3, Path("/"))
    shown = repr(replace(state, database_url="postgresql://u:geheim@h/db"))
    assert state.storage.secret_access_key not in shown
    assert FAR_S3["AWS_SECRET_ACCESS_KEY"] not in shown
    assert state.password not in shown
    assert state.broker_password not in shown
    assert "geheim" not in shown


def test_a_taken_port_is_chosen_again_and_the_others_stay() -> None:
    state = State.new()
    with socket.create_server(("127.0.0.1", state.broker_ports.amqp)):
        moved = state.with_free_ports()
    assert moved.broker_ports.amqp != state.broker_ports.amqp
    assert replace(moved.broker_ports, amqp=state.broker_ports.amqp) == state.broker_ports
    assert moved.manager_port == state.manager_port


def test_no_port_is_one_that_an_outgoing_connection_could_take_meanwhile() -> None:
    first, last = outgoing_ports()
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert not [port for port in ports if first <= port <= last]


def test_the_broker_of_the_environment_is_used_and_none_started(tmp_path: Path) -> None:
    far = "amqp://a:b@far.example/v"
    state = State.new().with_servers_of({"STREAMBOSS_AMQP_URL": far}, tmp_path)
    assert [part.name for part in parts_of(state, tmp_path)] == ["s3", "manager", "agent"]
    assert state.environment(tmp_path)["STREAMBOSS_AMQP_URL"] == far
    again = state.with_servers_of({}, tmp_path)
    assert again.borrowed == state.borrowed
    own = again.with_servers_of({"STREAMBOSS_AMQP_URL": ""}, tmp_path)
    assert own.borrowed is None


def test_the_s3_server_of_the_environment_is_used_and_none_started(tmp_path: Path) -> None:
    state = State.new().with_servers_of(FAR_S3 | {"STREAMBOSS_BUCKET": "mine"}, tmp_path)
    assert "s3" not in [part.name for part in parts_of(state, tmp_path)]
    shown = state.environment(tmp_path)
    assert {name: shown[name] for name in FAR_S3} == FAR_S3
    assert (shown["STREAMBOSS_BUCKET"], shown["STREAMBOSS_OBJECT_BUCKET"]) == ("mine", "outputs")
    assert state.with_servers_of({}, tmp_path) == state
    own = state.with_servers_of({"AWS_ENDPOINT_URL_S3": "", "STREAMBOSS_BUCKET": ""}, tmp_path)
    assert own.storage.borrowed is None
    assert own.environment(tmp_path)["STREAMBOSS_BUCKET"] == "archives"


def test_keys_for_some_cloud_do_not_lend_the_stack_an_s3_server(tmp_path: Path) -> None:
    keys = {name: value for name, value in FAR_S3.items() if "KEY" in name}
    state = State.new()
    assert state.with_servers_of(keys, tmp_path) == state


def test_a_stack_of_an_earlier_version_gets_its_s3_server(tmp_path: Path) -> None:
    state = State.new()
    state.save(tmp_path)
    file = tmp_path / "state.json"
    written = json.loads(file.read_text())
    del written["storage"]
    file.write_text(json.dumps(written))
    found = State.load(tmp_path)
    assert found
    assert replace(found, storage=state.storage) == state
    assert "s3" in [part.name for part in parts_of(found, tmp_path)]


def test_a_part_that_an_earlier_version_did_not_start_is_said(tmp_path: Path) -> None:
    state = State.new()
    part = next(part for part in parts_of(state, tmp_path) if part.name == "s3")
    shown = _part(part, None, state, tmp_path, running=True)
    assert (shown.address, shown.problem) == ("", "is new: 'streamboss up' starts it")
    assert not _part(part, None, state, tmp_path, running=False).problem


@pytest.mark.parametrize("days", ["-1", "a week"])
def test_a_setting_that_cannot_be_one_is_refused_before_anything_starts(
    tmp_path: Path, days: str
) -> None:
    with pytest.raises(SettingsError, match="STREAMBOSS_OBJECT_DAYS: must be a whole number"):
        up(tmp_path, env={"STREAMBOSS_OBJECT_DAYS": days})
    assert not (tmp_path / ".streamboss" / "state.json").exists()


def test_a_sourced_env_file_does_not_make_our_own_broker_a_foreign_one(tmp_path: Path) -> None:
    state = State.new()
    assert state.with_servers_of(state.environment(tmp_path), tmp_path) == state


def test_the_env_file_reads_the_same_for_a_shell_and_for_settings(tmp_path: Path) -> None:
    place = tmp_path / "it's a $folder" / ".streamboss"
    place.mkdir(parents=True)
    state = State.new()
    text, mode = files_of(state, place, "me")[place / "env"]
    write_private(place / "env", text, mode)
    shown = subprocess.run(
        ["sh", "-c", '. "$1"; printf %s "$STREAMBOSS_DATABASE_URL"', "sh", str(place / "env")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    settings = Settings.load({}, place.parent)
    assert settings.database_url == shown == f"sqlite:///{place}/manager.db"
    assert settings.amqp_urls == (state.broker(place).amqp_url,)
    assert settings.password == state.password
    assert settings.s3.secret_access_key == state.storage.secret_access_key


def test_no_secret_is_in_a_script_or_the_supervisor_configuration(tmp_path: Path) -> None:
    state = State.new()
    files = files_of(state, tmp_path, "me")
    for path, (text, mode) in files.items():
        assert mode & 0o077 == 0
        if path.name != "env":
            assert state.password not in text
            assert state.broker_password not in text
            assert state.storage.secret_access_key not in text


def test_every_part_dies_with_its_supervisor_and_runs_our_own_python(tmp_path: Path) -> None:
    state = State.new()
    files = files_of(state, tmp_path, "me")
    configuration = files[tmp_path / "supervisord.conf"][0]
    commands = [line for line in configuration.splitlines() if line.startswith("command")]
    assert len(commands) == 5
    assert all("setpriv --pdeathsig KILL run/" in line for line in commands)
    manager = shlex.split(files[tmp_path / "run" / "manager"][0].splitlines()[1])
    assert manager[1:5] == [f"{sys.prefix}/bin/python", "-P", "-m", "tools.main"]


def test_a_process_is_known_by_more_than_its_pid() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        identity = Identity.of(process.pid)
        assert identity is not None
        assert identity.alive()
        replace(identity, started=identity.started + 1).kill()
        assert process.poll() is None
        identity.kill()
        process.wait()
    assert not identity.alive()


def test_down_and_status_without_a_stack_touch_nothing(tmp_path: Path) -> None:
    assert down(tmp_path) is False
    assert not status(tmp_path).running
    assert "streamboss up" in describe(status(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_up_does_not_overwrite_settings_of_a_manager_elsewhere(tmp_path: Path) -> None:
    env = tmp_path / ".streamboss" / "env"
    env.parent.mkdir()
    env.write_text("STREAMBOSS_MANAGER_URL=https://far.example\n")
    with pytest.raises(StackError, match="leads to a manager elsewhere"):
        up(tmp_path, env={})
    assert env.read_text() == "STREAMBOSS_MANAGER_URL=https://far.example\n"
    assert list(env.parent.iterdir()) == [env]


def test_up_says_it_when_it_leads_back_from_a_deployed_manager(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, state = tmp_path / ".streamboss", State.new()
    place.mkdir()
    for url, said in ((state.manager_url, ""), ("http://far.example", "led to the manager http")):
        (place / "env").write_text(f"STREAMBOSS_MANAGER_URL={url}\n")
        _tell_of_another(state, place, Progress())
        err = capsys.readouterr().err
        assert (said in err) if said else not err


def test_an_address_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="STREAMBOSS_AMQP_URL: must look like"):
        State.new().with_servers_of({"STREAMBOSS_AMQP_URL": "http://[1"}, tmp_path)


def test_the_addresses_of_a_cluster_are_shown_without_passwords(tmp_path: Path) -> None:
    urls = "amqp://u:geheim@a.example/,amqp://u:geheim@b.example:5673/"
    state = State.new().with_servers_of({"STREAMBOSS_AMQP_URL": urls}, tmp_path)
    assert state.borrowed
    assert state.borrowed.shown() == "amqp://a.example/, amqp://b.example:5673/"


def test_the_supervisor_of_a_deep_folder_listens_in_a_short_one_that_goes_again(
    tmp_path: Path,
) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    path = Path(socket_path(deep, ""))
    assert len(str(path)) < 100
    assert path.parent.stat().st_mode & 0o077 == 0
    assert socket_path(deep, str(path)) == str(path)
    path.touch()
    forget_socket(deep, str(path))
    assert not path.parent.exists()
    assert socket_path(Path("/short"), "") == "/short/supervisor.sock"
