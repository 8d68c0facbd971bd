"""What `up` and `down` say while one waits: a spinner on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Called while waiting, with what is being waited for just now.
Detail = Callable[[str], None]


class Progress:
    """Speaks on stderr; stdout is for the result."""

    def note(self, text: str) -> None:
        """Say something once."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    @contextmanager
    def step(self, doing: str, done: str) -> Iterator[Detail]:
        """Show that something is under way, and how long it took."""
        began = time.monotonic()
        if sys.stderr.isatty():
            with _spinner(doing) as detail:
                yield detail
        else:
            self.note(f"{doing} ...")
            yield _silent
        self.note(f"{done} ({time.monotonic() - began:.1f} s)")


@contextmanager
def _spinner(doing: str) -> Iterator[Detail]:
    from rich.console import Console  # noqa: PLC0415 - 50 ms, for terminals alone
    from rich.text import Text  # noqa: PLC0415

    def line(text: str) -> Text:
        return Text(text, no_wrap=True, overflow="ellipsis")

    with Console(stderr=True).status(line(doing)) as status:
        yield lambda text: status.update(line(f"{doing}: {text}"))


def _silent(_: str) -> None:
    pass
