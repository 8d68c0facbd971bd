"""A recipe as steps to be done on a machine, each with a hash of all that it does. Pure."""

import hashlib
import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appliances.recipe import FileEntry, PythonEntry, Recipe, RunEntry
from appliances.wheels import Target, Wheels
from provision.machine import Image
from provision.scrub import STAGE
from provision.ssh import Shell

#: Of the rules below: another version is another hash.
_VERSION = 1
_SHOWN = 60
_APT = "apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3"
_PACKAGES_S, _PYTHON_S, _PUT_S = 1800, 900, 600


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to be copied; `source` may have to make it first, for the machine behind a shell."""

    source: Callable[[Shell], Path]
    target: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do on a machine, all of it again after a failure: its upload, its command."""

    title: str
    digest: str
    command: str = ""
    timeout_s: float = _PUT_S
    retries: int = 0
    upload: Upload | None = field(default=None, repr=False)


def steps(recipe: Recipe, cache: Path) -> list[Step]:
    """Return what a recipe does, in order; `cache`: where Python packages are kept."""
    return [
        *_packages(recipe.packages),
        *(_file(entry) for entry in recipe.files),
        *_python(recipe.python, cache),
        *(_run(entry) for entry in recipe.run),
    ]


def content_hash(recipe: Recipe, steps: Sequence[Step], base: Image) -> str:
    """Return 12 hex digits that stand for the content of an image, and for how it was tried.

    Not for size, hours, key or time: they leave nothing in it. Names of secrets count, not values.
    """
    tried = {
        "checks": [entry.command for entry in recipe.checks],
        "sample": recipe.sample.model_dump() if recipe.sample else None,
    }
    content = {
        "version": _VERSION,
        "base": [base.id, base.created_at.isoformat() if base.created_at else None],
        "steps": [step.digest for step in steps],
        "environment": recipe.environment,
        "secrets": sorted(recipe.secrets),
        **tried,
    }
    return _hashed(content)[:12]


def left(steps: Sequence[Step], done: Sequence[str]) -> Sequence[Step] | None:
    """Return the steps still to be done where those with the digests `done` are.

    None if something else was done there: what the machine holds is not what the recipe says.
    """
    begun = [step.digest for step in steps[: len(done)]]
    return steps[len(done) :] if begun == list(done) else None


def _packages(packages: Sequence[str]) -> Iterator[Step]:
    if packages:
        names = shlex.join(packages)
        command = (
            "command -v apt-get >/dev/null || { echo 'no apt-get on this image'; exit 1; }; "
            # what is there needs no way to a mirror
            f"dpkg-query -W -f '${{db:Status-Abbrev}}|' {names} 2>/dev/null |"
            f" tr -d '\n' | grep -qE '^(ii [|]){{{len(packages)}}}$' || "
            f"{{ {_APT} update && {_APT} install -y --no-install-recommends {names} && "
            "apt-get clean && rm -rf /var/lib/apt/lists/*; }"
        )
        digest = _hashed(["packages", list(packages)])
        yield Step(f"packages: {' '.join(packages)}", digest, command, _PACKAGES_S, retries=2)


def _file(entry: FileEntry) -> Step:
    content = hashlib.sha256(entry.source.read_bytes()).hexdigest()
    digest = _hashed(["file", entry.target, int(entry.mode, 8), content])
    upload = Upload(lambda _: entry.source, entry.target, int(entry.mode, 8))
    return Step(f"file: {entry.target}", digest, upload=upload, retries=1)


def _python(entry: PythonEntry | None, cache: Path) -> Iterator[Step]:
    if entry:
        wheels = Wheels(entry, cache)
        target, archive = shlex.quote(entry.target), f"{STAGE}/wheels.tar"
        command = (
            f"cd {STAGE} && rm -rf wheels && mkdir wheels && tar -xf wheels.tar -C wheels && "
            f"rm -rf {target} && python3 -m venv {target} && "
            f"{target}/bin/pip install --quiet --no-index --no-deps --no-cache-dir "
            f"--disable-pip-version-check wheels/*.whl && rm -rf wheels wheels.tar && "
            f"echo {wheels.digest} >{target}/wheels"  # by which an upgrade knows it
        )
        digest = _hashed(["python", entry.target, wheels.digest])
        upload = Upload(lambda shell: wheels.archive(Target.of(shell)), archive)
        yield Step(f"python: {entry.target}", digest, command, _PYTHON_S, 1, upload)


def _run(entry: RunEntry) -> Step:
    line = " ".join(entry.command.split())
    shown = line if len(line) <= _SHOWN else f"{line[: _SHOWN - 3]}..."
    digest = _hashed(["run", entry.command])
    return Step(f"run: {shown}", digest, entry.command, entry.timeout_s, entry.retries)


def _hashed(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
