"""A progress bar on stderr, drawn when told to: whoever runs a loop has no thread to spare."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(what: str, size_bytes: int) -> Iterator[Callable[[int, int], None]]:
    """Give a function that shows so many bytes, and so many messages."""
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
        TextColumn("{task.fields[messages]:,} messages"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as progress:
        task = progress.add_task(what, total=size_bytes, messages=0)

        def show(done_bytes: int, messages: int) -> None:
            progress.update(task, completed=done_bytes, messages=messages, refresh=True)

        yield show
