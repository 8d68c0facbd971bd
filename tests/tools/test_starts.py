"""What a command or an operator imports: what it needs, because somebody waits for it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.protocol import ExitStatus

_IMPORTED = re.compile(r"^import time:[^|]*\|[^|]*\|\s+(\S+)$", re.MULTILINE)
_NOWHERE = "amqp://127.0.0.1:1/"
#: Each of these takes longer to import than a broker takes to confirm a message.
_HEAVY = {"httpx", "boto3", "sqlalchemy", "fastapi", "libcloud", "fabric", "fastavro"}


@pytest.mark.parametrize("command", ["publish", "consume"])
def test_publish_and_consume_import_nothing_heavy(command: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "tools.main", command, "a"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path.cwd()),
            "STREAMBOSS_AMQP_URL": _NOWHERE,
            "HOME": str(tmp_path),
        },
        cwd=tmp_path,
        input="x\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1, "it got as far as the broker, which isn't there"
    imported = {name.partition(".")[0] for name in _IMPORTED.findall(ended.stderr)}
    assert "pika" in imported
    assert not imported & _HEAVY


def test_an_operator_imports_nothing_heavy() -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "agent.operator"],
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == ExitStatus.AGENT_GONE, "it got as far as the end of its input"
    imported = {name.partition(".")[0] for name in _IMPORTED.findall(ended.stderr)}
    assert {"pika", "pydantic"} <= imported
    assert not imported & (_HEAVY | {"typer", "rich", "manager", "tools"})
