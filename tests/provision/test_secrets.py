"""Secrets by name: found in order, never shown, refused when they lie open."""

from pathlib import Path

import pytest

from provision.errors import Kind, SecretError
from provision.secrets import Secrets


def _file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "secrets"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    path = _file(tmp_path, "# mine\nhotel-key = in the file\nhotel-secret=a=b\n")
    secrets = Secrets({"STREAMBOSS_SECRET_HOTEL_KEY": "in the environment"}, (path,))
    assert secrets.need("hotel-key") == "in the environment"
    assert secrets.need("hotel-secret") == "a=b"
    assert secrets.find("hotel-token") is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = _file(tmp_path, "hotel-key=hidden\n", mode)
    with pytest.raises(SecretError, match=f"others can read it; chmod 600 {path}") as caught:
        Secrets({}, (path,)).find("hotel-key")
    assert "hidden" not in str(caught.value)


def test_a_secret_that_isnt_there_says_where_to_put_it(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    with pytest.raises(SecretError) as caught:
        Secrets({}, (path,)).need("hotel-key")
    assert caught.value.kind is Kind.AUTH
    assert "set STREAMBOSS_SECRET_HOTEL_KEY" in str(caught.value)
    assert f"write hotel-key=... into {path} (mode 0600)" in str(caught.value)


def test_secrets_dont_show_in_their_repr() -> None:
    assert "hidden" not in repr(Secrets({"STREAMBOSS_SECRET_X": "hidden"}))


def test_a_file_that_cant_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="Is a directory"):
        Secrets({}, (tmp_path,)).find("x")
