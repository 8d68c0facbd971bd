"""`.streamboss/env`: where the tools of a folder learn which manager they talk to."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from appliances.deployment.settings import parse
from appliances.errors import BuildError
from provision.machine import Machine

#: Beside it: the CA of the manager's machine.
CA = "manager-ca.pem"
_HEAD = "# Written by 'fab deploy_manager' for machine"


def check(path: Path, cloud: str, *, stack: bool) -> str:
    """Say whose settings would be replaced in the file `path`: a line for people, or nothing.

    Those of a manager that we deployed, and of the embedded stack (`stack`: there is one), can be
    had again at any time.

    Args:
        path: the file, which need not be there.
        cloud: where the manager is.
        stack: whether the folder has an embedded stack.

    Raises:
        BuildError: they lead to a manager of which we know nothing more.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    url = parse(text).get("STREAMBOSS_MANAGER_URL")
    head = text.partition("\n")[0]
    if not url or (head.startswith(_HEAD) and head.endswith(f" of {cloud}")):
        return ""
    if stack and _HEAD not in text:
        return (
            f"{path} has led to the embedded stack of this folder: from now on it leads to the"
            " manager; 'streamboss up' leads back"
        )
    raise BuildError(
        f"{path} leads to another manager, {url}: move the file away, or deploy from another folder"
    )


def write(path: Path, machine: Machine, settings: Mapping[str, str]) -> None:
    """Write the file at once, for its owner alone."""
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in settings.items()]
    text = f"{_HEAD} {machine.id} of {machine.cloud}\n# Holds passwords.\n{''.join(lines)}"
    put(path, text, mode=0o600)


def put(path: Path, text: str, *, mode: int) -> None:
    """Write a file at once, in a folder for its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def forget(path: Path, machine: Machine) -> bool:
    """Remove the file if it leads to the manager on `machine`; say whether it did."""
    if not path.exists() or not names(path.read_text(encoding="utf-8"), machine):
        return False
    path.unlink()
    path.with_name(CA).unlink(missing_ok=True)
    return True


def names(text: str, machine: Machine) -> bool:
    """Say whether the file's text is about the manager on `machine`."""
    return text.startswith(f"{_HEAD} {machine.id} of {machine.cloud}\n")
