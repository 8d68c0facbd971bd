"""The key pair of a run."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provision import keys
from provision.errors import ProvisionError


def test_a_key_pair_is_one_that_ssh_reads(tmp_path: Path) -> None:
    pair = keys.ensure(tmp_path / "run" / "keys", comment="run 7")
    assert pair.path.stat().st_mode & 0o777 == 0o600
    told = subprocess.run(
        ["ssh-keygen", "-y", "-f", pair.path], capture_output=True, text=True, check=True
    ).stdout
    assert pair.public == f"{told.strip()} run 7"
    assert pair.public.startswith("ssh-ed25519 ")


def test_the_same_folder_gives_the_same_key(tmp_path: Path) -> None:
    assert keys.ensure(tmp_path, comment="x") == keys.ensure(tmp_path, comment="x")
    assert [path.name for path in tmp_path.iterdir()] == ["id_ed25519"]


def test_all_who_ask_at_once_get_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: keys.ensure(tmp_path, comment="x"), range(16)))
    assert len(made) == 1


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    keys.ensure(tmp_path, comment="x").path.chmod(0o644)
    with pytest.raises(ProvisionError, match="can be read by others: chmod 600"):
        keys.ensure(tmp_path, comment="x")


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "id_ed25519").write_text("not a key")
    (tmp_path / "id_ed25519").chmod(0o600)
    with pytest.raises(ProvisionError, match="isn't an ssh key without a passphrase"):
        keys.ensure(tmp_path, comment="x")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ProvisionError, match=r"no ssh key in .*/file/keys: Not a directory"):
        keys.ensure(tmp_path / "file" / "keys", comment="x")
