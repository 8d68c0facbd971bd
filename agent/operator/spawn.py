"""Starting a program: `posix_spawn`, a process group of its own, three descriptors, no more."""

import errno
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from agent.operator.spool import Spool
from streams.errors import StreamsError

#: What a pipe holds in any case; more goes in by a file in memory.
PIPE_BYTES = 65_536
#: What Python, our own main or whoever started us ignores, a program would ignore as well.
_RESET = tuple(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


class CannotRunError(StreamsError):
    """The program can't be started now; says why."""


#: What a program reads: bytes, a file, or with None a pipe to be written.
Stdin = bytes | Spool | None


@dataclass(frozen=True, slots=True)
class Pipes:
    """Our ends of a started program's pipes; `stdin` is None where its input was given whole."""

    pid: int
    stdin: int | None
    stdout: int
    stderr: int


def spawn(words: tuple[str, ...], env: Mapping[str, str], stdin: Stdin) -> Pipes:
    """Start a program on `stdin`, or on a pipe to be written if that is None.

    Raises:
        CannotRunError: the kernel refused.
    """
    theirs: list[int] = []
    ours: list[int] = []
    try:
        if stdin is None:
            read, write = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(write, False)
            theirs.append(read)
            ours.append(write)
        else:
            theirs.append(stdin.open() if isinstance(stdin, Spool) else _prefilled(stdin))
        for _ in range(2):
            read, write = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(read, False)
            ours.append(read)
            theirs.append(write)
        pid = _start(words, env, theirs)
    except OSError as error:
        _close(ours)
        raise CannotRunError(_explained(error, words[0])) from None
    finally:
        _close(theirs)
    return Pipes(pid, ours[0] if stdin is None else None, ours[-2], ours[-1])


def _start(words: tuple[str, ...], env: Mapping[str, str], descriptors: Sequence[int]) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(descriptors)]
    try:
        return os.posix_spawn(
            words[0], words, env, file_actions=actions, setpgroup=0, setsigdef=_RESET
        )
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    # a script without its first line `#!...`: what every shell does with it
    return os.posix_spawn(
        "/bin/sh", ["sh", *words], env, file_actions=actions, setpgroup=0, setsigdef=_RESET
    )


def _prefilled(data: bytes) -> int:
    """Return a descriptor from which `data` can be read, and then the end."""
    if len(data) <= PIPE_BYTES:
        read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        written = 0
        with suppress(BlockingIOError):  # where one user has very many pipes they are smaller
            written = os.write(write, data) if data else 0
        os.close(write)
        if written == len(data):
            os.set_blocking(read, True)
            return read
        os.close(read)
    return _in_memory(data)


def _in_memory(data: bytes) -> int:
    fd = os.memfd_create("input", os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _close(descriptors: Sequence[int]) -> None:
    for fd in descriptors:
        os.close(fd)


def _explained(error: OSError, program: str) -> str:
    if error.errno == errno.ENOENT:
        return f"{program}: doesn't exist, or the interpreter in its first line doesn't"
    return f"{program}: can't be started: {error.strerror}"
