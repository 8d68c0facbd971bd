"""What a build says while one waits: steps with times on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

#: Hears what a command prints, line by line.
OnLine = Callable[[str], None]
#: Hears of each step: its title; `running`, `done` or `failed`; how long it took, in seconds.
OnStep = Callable[[str, str, float | None], None]
#: A title is told up to so many characters.
_TITLE = 500


class Progress:
    """Speaks on stderr, and writes all of it, and what commands print, to a log."""

    def __init__(self, log: Path | None = None) -> None:
        self.log = log
        self.told: OnStep | None = None
        self._hidden: tuple[str, ...] = ()
        self._file: IO[str] | None = None

    def hide(self, secrets: Iterable[str]) -> None:
        """Show none of `secrets` from now on, whatever commands print."""
        self._hidden = tuple(secrets)

    def shown(self, text: str) -> str:
        """Return `text` as it may be shown."""
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return text

    def note(self, text: str) -> None:
        """Say something once."""
        text = self.shown(text)
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
        self._write(text)

    @contextmanager
    def step(self, title: str) -> Iterator[OnLine]:
        """Show that something is under way, what it prints, and how long it took."""
        began = time.monotonic()
        self._write(f"{title} ...")
        self._tell(title, "running", None)
        try:
            if sys.stderr.isatty():
                with _spinner(title) as detail:
                    yield lambda line: self._both(line, detail)
            else:
                sys.stderr.write(f"{title} ...\n")
                yield self._print
        except BaseException:
            self.note(f"{title}: failed ({time.monotonic() - began:.1f} s)")
            self._tell(title, "failed", time.monotonic() - began)
            raise
        self.note(f"{title} ({time.monotonic() - began:.1f} s)")
        self._tell(title, "done", time.monotonic() - began)

    def _tell(self, title: str, state: str, took_s: float | None) -> None:
        if self.told is not None:
            self.told(self.shown(title)[:_TITLE], state, took_s)

    def _both(self, line: str, detail: OnLine) -> None:
        self._write(f"    {line}")
        detail(self.shown(line))

    def _print(self, line: str) -> None:
        self.note(f"    {line}")

    def _write(self, line: str) -> None:
        if self.log is None:
            return
        if self._file is None:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.log.open("a", encoding="utf-8", buffering=1)
        self._file.write(f"{time.strftime('%H:%M:%S')} {self.shown(line)}\n")


@contextmanager
def _spinner(title: str) -> Iterator[OnLine]:
    from rich.console import Console  # noqa: PLC0415 - 50 ms, for terminals alone
    from rich.text import Text  # noqa: PLC0415

    def line(text: str) -> Text:
        return Text(text, no_wrap=True, overflow="ellipsis")

    with Console(stderr=True).status(line(title)) as status:
        yield lambda text: status.update(line(f"{title}: {text}"))
