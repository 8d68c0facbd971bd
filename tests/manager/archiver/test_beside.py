"""The archiver that a manager runs beside itself: there when needed, gone with the manager."""

import os
import signal
from pathlib import Path

import pytest

from tests.deployment import Service
from tests.eventually import eventually
from tests.manager.archiver.recording import Recording
from tests.manager.archiver.test_archiver import numbered
from tests.processes import descendants, started_at


@pytest.fixture
def manager(recording: Recording) -> Service:
    """A manager with S3; it serves nobody here."""
    made = recording.service(
        "manager",
        "--port",
        "0",
        STREAMBOSS_BROKER_API_URL=recording.settings.need_broker_api(),
        STREAMBOSS_USER="boss",
        STREAMBOSS_PASSWORD="secret",
    )
    made.start()
    return made


def test_it_runs_while_there_is_something_to_archive_and_dies_with_the_manager(
    recording: Recording, manager: Service
) -> None:
    eventually(lambda: "manager: http" in manager.log.read_text(), what="the manager serves")
    recording.begin("s")
    ((child, started),) = eventually(manager.family, what="an archiver runs beside it")
    recording.publish("s", numbered(1))
    eventually(lambda: recording.waiting("s") == 0, what="it takes what comes")
    os.kill(child, signal.SIGKILL)
    eventually(lambda: manager.family() - {(child, started)}, what="another one is started")
    recording.end("s")  # what was taken comes again to the other one, which needn't wait longer
    eventually(lambda: not recording.store.open_archives(), what="everything is stored")
    ((child, started),) = eventually(lambda: descendants(manager.pid))
    assert manager.process is not None
    manager.process.kill()
    manager.process.wait()
    eventually(lambda: started_at(child) != started, what="it ends when the manager is gone")
    assert [r.body for r in recording.records("s")] == [b"1"]
    left = [path.name for path in Path(recording.folder).glob("streamboss-archiver-*")]
    assert left == []
