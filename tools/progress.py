"""Progress bars on stderr, on terminals alone."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(what: str, size_bytes: int | None) -> Iterator[Callable[[int, int, int | None], None]]:
    """Give a function that shows so many bytes, so many messages, and of how many bytes in all.

    None, where nobody knows how many that will be. It draws when told to: whoever runs a loop has
    no thread to spare.
    """
    from rich.console import Console  # noqa: PLC0415 - 50 ms, for terminals alone
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[messages]:,} messages, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as progress:
        task = progress.add_task(what, total=size_bytes, messages=0, rate=0.0)

        def show(done_bytes: int, messages: int, size_bytes: int | None) -> None:
            elapsed_s = progress.tasks[0].elapsed or 0.0
            rate = messages / elapsed_s if elapsed_s else 0.0
            progress.update(
                task,
                completed=done_bytes,
                total=size_bytes,
                messages=messages,
                rate=rate,
                refresh=True,
            )

        yield show


@contextmanager
def transfer(
    what: str, size_bytes: int | None, *, wanted: bool = True
) -> Iterator[Callable[[int], None]]:
    """Give a function that hears of each so many bytes that are through, from any thread.

    Rate and time left are shown on a terminal, and nothing is left there at the end.
    """
    if not (wanted and sys.stderr.isatty()):
        yield lambda _bytes: None
        return
    from rich.console import Console  # noqa: PLC0415 - 50 ms, for terminals alone
    from rich.markup import escape  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(escape(what), total=size_bytes)
        yield lambda number: progress.advance(task, number)
