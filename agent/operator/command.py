"""What to run for a definition: the words, the environment, and whether it can be run at all."""

import os
import pwd
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streams.definition import Limits, ProcessDefinition, ProcessType

#: A line with none of these means the same to us as to `sh`: words and plain quotes.
_SHELL_ONLY = re.compile(r"[|&;<>()$*?\[\]#~=!{}\\`\n]")
#: What `sh` would run by itself although a file of that name may exist.
_BUILTIN_WORDS = """
    . : [ alias bg break case cd chdir command continue do done echo elif else esac eval exec exit
    export false fc fg fi for getopts hash if in jobs kill local printf pwd read readonly return
    set shift test then times trap true type ulimit umask unalias unset until wait while
"""
_BUILTINS = frozenset(_BUILTIN_WORDS.split())
_SHELL = "/bin/sh"
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_STDBUF_PRELOADS = ("/usr/libexec/coreutils/libstdbuf.so", "/usr/lib/coreutils/libstdbuf.so")
#: Seconds between SIGXCPU, which a program may answer, and SIGKILL, which it can't.
_CPU_GRACE_S = 1


@dataclass(frozen=True, slots=True)
class Command:
    """Words to run, or the reason why they can't be."""

    words: tuple[str, ...]
    problem: str | None = None


def command(definition: ProcessDefinition, path: str) -> Command:
    """Return what to run, found on `path`; asks the file system about the program."""
    if definition.argv is not None:
        return _direct([definition.exec, *definition.argv], path)
    words = plain_words(definition.exec)
    if words is None:
        return Command((_SHELL, "-c", definition.exec))
    return _direct(words, path)


def plain_words(line: str) -> list[str] | None:
    """Return the words of a line that needs no shell, or None.

    Sparing the shell makes a process a message 1.7 times as fast (docs/performance.md).
    """
    if _SHELL_ONLY.search(line):
        return None
    try:
        words = shlex.split(line)
    except ValueError:
        return None  # an open quote: let sh say so
    if not words or words[0] in _BUILTINS:
        return None
    return words


def _direct(words: Sequence[str], path: str) -> Command:
    program = words[0]
    found = shutil.which(program, path=path)
    if found is not None:
        return Command((found, *words[1:]))
    if "/" not in program:
        return Command(tuple(words), f"program {program!r} not found on PATH ({path})")
    if not Path(program).exists():
        return Command(tuple(words), f"program {program!r} doesn't exist")
    if Path(program).is_dir():
        return Command(tuple(words), f"program {program!r} is a folder")
    return Command(tuple(words), f"program {program!r} isn't executable: chmod +x helps")


def limited(words: Sequence[str], limits: Limits, *, in_cgroup: bool = False) -> tuple[str, ...]:
    """Return `words` behind prlimit(1), which sets the limits before the program begins.

    A cgroup counts memory that is used; a limit of addresses is all there is elsewhere.
    """
    flags = []
    if limits.cpu_s is not None:
        flags.append(f"--cpu={limits.cpu_s}:{limits.cpu_s + _CPU_GRACE_S}")
    if limits.memory_bytes is not None and not in_cgroup:
        flags.append(f"--as={limits.memory_bytes}")
    if limits.files is not None:
        flags.append(f"--nofile={limits.files}")
    if limits.file_bytes is not None:
        flags.append(f"--fsize={limits.file_bytes}")
    if not flags:
        return tuple(words)
    return ("/usr/bin/prlimit", *flags, "--", *words)


def as_user(words: tuple[str, ...], user: str | None) -> tuple[str, ...]:
    """Return `words` behind setpriv(1), which becomes `user` for good before the program begins."""
    if user is None:
        return words
    group = pwd.getpwnam(user).pw_gid
    flags = (f"--reuid={user}", f"--regid={group}", "--init-groups", "--no-new-privs")
    return ("/usr/bin/setpriv", *flags, "--", *words)


def folder_problem(folder: str) -> str | None:
    """Say why programs can't be started in `folder`, or None."""
    if not Path(folder).is_dir():
        return (
            f"cwd {folder!r} doesn't exist"
            if not Path(folder).exists()
            else (f"cwd {folder!r} isn't a folder")
        )
    return None if os.access(folder, os.X_OK) else f"cwd {folder!r}: no right to enter it"


def environment(
    definition: ProcessDefinition,
    *,
    operation: str,
    stream: str,
    home: str,
    inherited: Mapping[str, str],
    mark: Mapping[str, str],
) -> dict[str, str]:
    """Return the environment of a program: what the contract names, and nothing else of ours."""
    chosen = {
        "PATH": inherited.get("PATH") or _DEFAULT_PATH,
        "HOME": home,
        "LANG": "C.UTF-8",
        "STREAMBOSS_STREAM": stream,
        "STREAMBOSS_OPERATION": operation,
        **mark,
    }
    if definition.process_type is ProcessType.SERVICE:
        chosen |= _line_buffered()
    return chosen | definition.environment


def _line_buffered() -> dict[str, str]:
    """Return what makes most programs write each line when it is done, also into a pipe."""
    chosen = {"PYTHONUNBUFFERED": "1"}
    for preload in _STDBUF_PRELOADS:
        if Path(preload).exists():
            chosen |= {"LD_PRELOAD": preload, "_STDBUF_O": "L"}
            break
    return chosen


def message_environment(
    *,
    message_id: str | bytes | None,
    attempt: int,
    content_type: str | bytes | None,
    traceparent: object,
) -> dict[str, str]:
    """Return what a `single` program learns about its message."""
    chosen = {
        "STREAMBOSS_MESSAGE_ID": _word(message_id),
        "STREAMBOSS_ATTEMPT": str(attempt),
        "STREAMBOSS_CONTENT_TYPE": _word(content_type),
    }
    if isinstance(traceparent, str) and traceparent:
        chosen["TRACEPARENT"] = _word(traceparent)
    return chosen


def _word(value: str | bytes | None) -> str:
    """Return what a foreign client sent as something that an environment can hold."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value or ""
    return text.replace("\0", "")
