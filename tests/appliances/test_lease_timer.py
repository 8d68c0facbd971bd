"""A machine's own timer: it ends what is past its lease, and nothing else, whatever its clock."""

import os
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provision.leases import Lease
from provision.user_data import lease_file
from tests.deployment import ROOT

_SCRIPT = ROOT / "appliances" / "stream-agent" / "streamboss-lease"
_HOUR_S = 3600


@pytest.mark.parametrize(
    ("age_s", "clock_ahead_s", "set_since_s", "ends"),
    [
        pytest.param(10, 0, 0, False, id="it has just begun"),
        pytest.param(_HOUR_S + 10, 0, 0, True, id="it is over"),
        pytest.param(10, 3 * _HOUR_S, 0, False, id="the clock is ahead"),
        pytest.param(_HOUR_S + 10, 3 * _HOUR_S, 0, True, id="the clock is ahead, it is over"),
        pytest.param(10, -3 * _HOUR_S, 0, False, id="the clock is behind"),
        pytest.param(10, 0, 3 * _HOUR_S, False, id="the clock was behind, and was set"),
        pytest.param(_HOUR_S + 10, 0, 3 * _HOUR_S, True, id="it was set, and it is over"),
    ],
)
def test_a_machine_ends_itself_after_its_lease_and_not_before(
    tmp_path: Path, age_s: int, clock_ahead_s: int, set_since_s: int, *, ends: bool
) -> None:
    """`age_s`: since it was told; its clock is ahead by so much, and was by so much less then."""
    now_s = int(time.time())  # of the machine
    told_at = datetime.fromtimestamp(now_s - clock_ahead_s - age_s, UTC)
    lease = Lease("tests", "fleet", told_at, told_at + timedelta(hours=1))
    file = tmp_path / "lease"
    file.write_text("".join(lease_file(lease, told_at).values()))
    written_s = now_s - age_s - set_since_s
    os.utime(file, (written_s, written_s))
    systemctl = tmp_path / "systemctl"
    systemctl.write_text('#!/bin/sh\necho "$@" > "${0%/*}/called"\n')
    systemctl.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run([_SCRIPT, file], env={"PATH": path}, check=True, timeout=20)
    assert (tmp_path / "called").exists() is ends
