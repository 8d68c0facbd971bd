"""The replayer as a process: `streamboss manager --role replayer`, and the manager's own child."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from manager import ending, logs
from manager.replays.replayer import Replayer
from manager.store import Store, database_url
from streams.settings import Settings


def run(settings: Settings, *, parent: int | None = None) -> None:
    """Replay until SIGTERM, or until the other end of the pipe `parent` is gone.

    Broker, database and S3 needn't be there: it goes on trying.

    Raises:
        SettingsError: settings it can't work with.
    """
    logs.to_stderr()
    ended = ending.at_signals()
    if parent is not None:
        threading.Thread(target=_wait_for_end, args=[parent, ended], daemon=True).start()
    with replaying(settings):
        ended.wait()


@contextmanager
def replaying(settings: Settings) -> Iterator[None]:
    """Replay for the length of a `with` block."""
    store = Store(database_url(settings, Path.cwd()))
    replayer = Replayer(settings, store)
    replayer.start()
    try:
        yield
    finally:
        replayer.stop()
        store.close()


def _wait_for_end(parent: int, ended: threading.Event) -> None:
    while os.read(parent, 1):
        pass
    ended.set()


if __name__ == "__main__":
    run(Settings.load(os.environ, Path.cwd()), parent=sys.stdin.fileno())
