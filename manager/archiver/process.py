"""The archiver as a process: `streamboss manager --role archiver`, and the manager's own child."""

import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from manager import logs
from manager.archiver.archiver import Archiver
from manager.archiver.sweep import Sweeper
from manager.archiver.vault import Vault
from manager.store import Store, database_url
from streams.broker import Signals
from streams.objects import Objects
from streams.settings import Settings

log = structlog.get_logger()
_PREFIX = "streamboss-archiver-"


def run(settings: Settings, *, parent: int | None = None) -> None:
    """Archive until SIGTERM, or until the other end of the pipe `parent` is gone.

    Broker, database and S3 needn't be there: it goes on trying.

    Raises:
        SettingsError: settings it can't work with.
    """
    logs.to_stderr()
    bucket, urls = settings.need_bucket(), settings.need_amqp()
    _allow_many_files()
    store = Store(database_url(settings, Path.cwd()))
    with _folder() as folder:
        vault = Vault(Objects(settings.s3), bucket, folder)
        archiver, sweeper = Archiver(urls, store, vault), Sweeper(store, vault)
        stopping: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGTERM: archiver.stop,
            signal.SIGINT: archiver.stop,
        }
        with Signals(archiver.loop, stopping):
            if parent is not None:
                archiver.loop.watch(parent, read=lambda: _orphaned(archiver, parent))
            sweeper.start()
            log.info("archives", bucket=bucket)
            archiver.run()
        sweeper.stop()
    store.close()


def _orphaned(archiver: Archiver, parent: int) -> None:
    if not os.read(parent, 1):
        archiver.loop.unwatch(parent)
        archiver.stop()


def _allow_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def _folder() -> Iterator[Path]:
    """Give a folder for segments that grow; what one that was killed left is removed."""
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as folder:
        for left in Path(folder).parent.glob(f"{_PREFIX}*"):
            pid = left.name.removeprefix(_PREFIX).partition("-")[0]
            if pid.isdecimal() and not Path(f"/proc/{pid}").exists():
                shutil.rmtree(left, ignore_errors=True)
        yield Path(folder)


if __name__ == "__main__":
    run(Settings.load(os.environ, Path.cwd()), parent=sys.stdin.fileno())
