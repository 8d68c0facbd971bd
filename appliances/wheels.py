"""Python packages for machines without an index: fetched here once, kept by content, copied in."""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from appliances.recipe import PythonEntry
from provision.errors import ProvisionError
from provision.ssh import Shell

#: Packages are for some version of the C library, and run with any later one.
_GLIBC = (39, 38, 36, 35, 34, 31, 28, 27, 24, 17, 12, 5)
#: A program for the machine's Python: version, C library, processor.
_ASK = (
    "import platform, sys; v = sys.version_info; libc = f'{platform.libc_ver()[1]}.'.split('.'); "
    "print(f'{v[0]}.{v[1]}', libc[1], platform.machine())"
)
_FIELDS = ("python", "glibc", "machine")
_TIMEOUT_S, _ASK_S = 900, 60
_HEAD = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==")
_VIA = re.compile(r"^\s+#\s+(?:via\s+)?([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\b")
REQUIREMENTS = "requirements.txt"


@dataclass(frozen=True, slots=True)
class Target:
    """The Python that packages are for: "3.11"; the C library's number behind "2."; "x86_64"."""

    python: str
    glibc: int
    machine: str

    @classmethod
    def of(cls, shell: Shell) -> Self:
        """Ask a machine.

        Raises:
            ProvisionError: there is no Python 3, or no GNU C library.
        """
        said = shell.run(f"python3 -c {shlex.quote(_ASK)}", timeout_s=_ASK_S)
        fields = said.split()
        if len(fields) != len(_FIELDS):
            raise ProvisionError(f"python: the image has no Python for our wheels: {said.strip()}")
        return cls(fields[0], int(fields[1]), fields[2])

    def options(self) -> list[str]:
        """Return pip's options for it rather than for our own Python."""
        numbers = [number for number in _GLIBC if number <= self.glibc]
        platforms = [f"--platform=manylinux_2_{number}_{self.machine}" for number in numbers]
        older = [f"--platform=manylinux{name}_{self.machine}" for name in ("2014", "2010", "1")]
        version = f"--python-version={self.python}"
        return ["--only-binary=:all:", "--implementation=cp", version, *platforms, *older]


@dataclass(frozen=True, slots=True)
class Wheels:
    """The packages of one recipe. `cache`: a folder in which archives of them are kept."""

    entry: PythonEntry
    cache: Path

    @property
    def requirements(self) -> str:
        """The part of the lock file that is wanted, hashes included."""
        return selected(self.entry.lock.read_text(encoding="utf-8"), self.entry.packages)

    @property
    def digest(self) -> str:
        """The hash of all that decides about the archive's content, but for whom it is."""
        sources = list(_digests(self.entry.project)) if self.entry.project else []
        text = json.dumps([2, self.requirements, sources])
        return hashlib.sha256(text.encode()).hexdigest()

    def archive(self, target: Target) -> Path:
        """Return a tar archive with the wheels for one kind of Python; made if it isn't there.

        Raises:
            ProvisionError: the packages can't be had, or the project's wheel not be built.
        """
        kind = f"cp{target.python}-glibc2.{target.glibc}-{target.machine}"
        path = self.cache / f"{self.digest}-{kind}.tar"
        if not path.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.cache, prefix="making-") as folder:
                self._make(Path(folder), target).replace(path)
        return path

    def _make(self, folder: Path, target: Target) -> Path:
        wheels = folder / "wheels"
        wheels.mkdir()
        listed = folder / REQUIREMENTS
        listed.write_text(self.requirements, encoding="utf-8")
        options = ["--no-deps", "--require-hashes", *target.options()]
        _pip(["download", *options, "-r", str(listed)], wheels)
        if self.entry.project:
            copy = folder / "project"
            _copy(self.entry.project, copy)
            _pip(["wheel", "--no-deps", str(copy)], wheels)
        made = folder / "wheels.tar"
        with tarfile.open(made, "w") as archive:
            for wheel in sorted(wheels.iterdir()):
                archive.add(wheel, wheel.name)
        return made


def selected(lock: str, packages: Sequence[str]) -> str:
    """Return the requirements of `lock` that `packages` need, themselves included; all for none.

    The file itself says, in its comments, what each is needed by (`# via`).

    Raises:
        ProvisionError: one of `packages` isn't in it.
    """
    blocks = {_plain(name): lines for name, lines in _blocks(lock)}
    wanted = {_plain(name) for name in packages} or set(blocks)
    if missing := sorted(wanted - set(blocks)):
        raise ProvisionError(f"python: packages: not in the lock file: {', '.join(missing)}")
    grown = True
    while grown:
        more = {name for name, lines in blocks.items() if _needed_by(lines) & wanted} - wanted
        wanted |= more
        grown = bool(more)
    return "".join(
        f"{line}\n" for name in sorted(wanted) for line in blocks[name] if "#" not in line
    )


def _blocks(lock: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each requirement's name and its lines, comments included."""
    block: list[str] = []
    for line in lock.splitlines():
        head = _HEAD.match(line)
        if head:
            block = [line]
            yield head[1], block
        elif block and line.startswith(" "):
            block.append(line)


def _needed_by(lines: Sequence[str]) -> set[str]:
    return {_plain(found[1]) for line in lines if (found := _VIA.match(line))} - {"via"}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pip(arguments: Sequence[str], into: Path) -> None:
    option = "--dest" if arguments[0] == "download" else "--wheel-dir"
    command = [sys.executable, "-m", "pip", *arguments, option, str(into), "--quiet"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ProvisionError(f"python: no packages within {_TIMEOUT_S} s: is it slow?") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if "ERROR" in line] or lines or ["it doesn't say why"]
        raise ProvisionError(f"python: pip {arguments[0]}: {errors[0].removeprefix('ERROR: ')}")


def _packages(project: Path) -> list[Path]:
    """Return the folders that go into a wheel: tests and benchmarks beside them write files."""
    settings = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    tool = settings.get("tool", {}).get("setuptools", {}).get("packages", {})
    names = tool.get("find", {}).get("include", ["*"])
    return sorted({path.parent for name in names for path in project.glob(f"{name}/__init__.py")})


def _sources(project: Path) -> Iterator[Path]:
    """Yield what a project's wheel is made of: its pyproject.toml and its packages' files."""
    yield project / "pyproject.toml"
    for package in _packages(project):
        for path in sorted(package.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _digests(project: Path) -> Iterator[tuple[str, str]]:
    for path in _sources(project):
        yield str(path.relative_to(project)), hashlib.sha256(path.read_bytes()).hexdigest()


def _copy(project: Path, target: Path) -> None:
    """Copy a project without what builds and tests leave in it: they leave more."""
    beside = (path for path in project.glob("*") if path.is_file())  # a README that it shows
    for path in {*_sources(project), *beside}:
        place = target / path.relative_to(project)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
