"""The base image of the local cloud: Debian from its packages, made once and kept by podman."""

import fcntl
import hashlib
import json
import logging
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import IO

from provision.drivers.local import labels
from provision.drivers.local.engine import OURS, Engine
from provision.errors import ProvisionError
from provision.waiting import wait_until

log = logging.getLogger(__name__)

NAME = "debian-12"
_SUITE = "bookworm"
_TIMEOUT_S = 900
_MEMORY, _DISK = Path("/dev/shm"), Path("/var/tmp")  # noqa: S108 see `_alone`
#: What making it takes in a folder: the file system and its archive, with some to spare.
_ROOM_BYTES = 2 * 1024**3
_PACKAGES = (
    "ca-certificates",
    "cloud-init",
    "dbus",
    "iproute2",
    "libnss-myhostname",  # /etc/hosts doesn't name the machine
    "libpam-systemd",
    "openssh-server",
    "procps",
    "python3-venv",
    "sudo",
    "systemd-sysv",
)
#: Each of cloud-init's modules costs time at each boot: these are those that make sense here.
#: Host keys go to the console before sshd starts, so that a first login can be checked.
_CLOUD_INIT = """\
datasource_list: [NoCloud, None]
users: []
disable_root: false
preserve_hostname: true
ssh_genkeytypes: [ed25519]
locale: false
cloud_init_modules: [bootcmd, write-files, ca-certs, users-groups, ssh, keys-to-console]
cloud_config_modules: [runcmd]
cloud_final_modules:
- package-update-upgrade-install
- write-files-deferred
- scripts-per-once
- scripts-per-boot
- scripts-per-instance
- scripts-user
- final-message
- power-state-change
"""
#: Nothing of the computer that made it, and nothing that two machines mustn't share.
_FINISH = f"""\
rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/hostname "$1"/etc/resolv.conf
: >"$1"/etc/machine-id
echo "127.0.0.1 localhost" >"$1"/etc/hosts
ln -s /dev/null "$1"/etc/systemd/system/console-getty.service
cat >"$1"/etc/cloud/cloud.cfg.d/90-local.cfg <<'END'
{_CLOUD_INIT}END
"""
_OPTIONS = (
    "--variant=apt",
    "--include=" + ",".join(_PACKAGES),
    '--aptopt=Acquire::Languages "none"',
    "--dpkgopt=force-unsafe-io",  # a base half made is thrown away, anyhow
    *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "locale", "man")),
    f"--customize-hook={_FINISH}",
)


@cache
def image_id() -> str:
    """Return the id of the base image: another recipe is another image."""
    sources = [Path(path).read_text(encoding="utf-8") for path in _sources()]
    recipe = json.dumps([_SUITE, _OPTIONS, sources])
    return f"{NAME}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def ensure(engine: Engine = OURS) -> None:
    """Make the base image if it isn't there: 20 to 60 s, once on a computer.

    Raises:
        ProvisionError: it can't be made: no tool, or no way to a Debian mirror.
    """
    if _exists(engine):
        return
    with _alone() as (folder, lock):
        if not _exists(engine):  # somebody else may just have made it
            log.info("making the base image of the local cloud from Debian's packages, once")
            _import(engine, bootstrap(folder, lock))


def _exists(engine: Engine) -> bool:
    return bool(engine.listed("images", "--filter", f"reference={labels.reference(image_id())}"))


def _import(engine: Engine, archive: Path) -> None:
    engine.run(
        *("import", "--quiet", "--change=STOPSIGNAL SIGRTMIN+3"),
        *labels.changes({labels.BASE: image_id()}),
        *(str(archive), labels.reference(image_id())),
        timeout_s=300,
    )


def bootstrap(folder: Path, lock: int) -> Path:
    """Make the file system in `folder`, and return it as a tar archive.

    What it starts holds the open file `lock`, too: when we are killed, the next one waits until
    all of it has ended.
    """
    archive = folder / "base.tar"
    command = ["mmdebstrap", *_OPTIONS, _SUITE, str(archive), *_sources()]
    try:
        done = subprocess.run(
            # asked to end when we die: it finishes what it is at, and clears up
            ["setpriv", "--pdeathsig", "TERM", *command],  # noqa: S607 wherever it is installed
            env={**os.environ, "TMPDIR": str(folder), "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            pass_fds=(lock,),
            check=False,
        )
    except FileNotFoundError as error:
        raise ProvisionError(f"{error.filename} isn't installed: run ./setup.sh") from error
    except subprocess.TimeoutExpired as error:
        raise ProvisionError(f"no base image within {_TIMEOUT_S} s: is the mirror slow?") from error
    if done.returncode != 0:
        raise _failure(done.stderr)
    return archive


def _failure(output: str) -> ProvisionError:
    """Return the line of mmdebstrap's output that says why."""
    errors = [line.strip() for line in output.splitlines() if line.startswith("E: ")]
    fetching = [line for line in errors if line.startswith("E: Failed to fetch")]
    why = (fetching or errors or ["E: it doesn't say why"])[0].removeprefix("E: ")
    if fetching:
        return ProvisionError(
            "the local cloud's base image is made from a Debian mirror, once, and there is no way "
            f"to one: {why}"
        )
    return ProvisionError(f"the local cloud's base image can't be made: {why}")


def _sources() -> Sequence[str]:
    """Return the file that names this computer's mirror, if it is a Debian of the same suite.

    Without one, mmdebstrap asks Debian's own mirrors.
    """
    release = Path("/etc/os-release").read_text(encoding="utf-8")
    if f"VERSION_CODENAME={_SUITE}\n" not in release:
        return ()
    for path in (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")):
        if path.exists() and path.read_text(encoding="utf-8").strip():
            return (str(path),)
    return ()


def _roomy() -> Path:
    """Return where to make it: in memory if possible, three times as quick as on a disk."""
    plain = not os.statvfs(_MEMORY).f_flag & (os.ST_NODEV | os.ST_NOEXEC)
    return _MEMORY if plain and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES else _DISK


@contextmanager
def _alone() -> Iterator[tuple[Path, int]]:
    """Keep others from making it at the same time; give an empty folder, and the lock's file."""
    home = _roomy() / f"streamboss-base-{os.geteuid()}"
    home.mkdir(exist_ok=True)
    if home.is_symlink() or home.stat().st_uid != os.geteuid():
        raise ProvisionError(f"{home} belongs to somebody else: remove it")
    home.chmod(0o711)  # mmdebstrap without root is other users in there
    folder = home / "making"
    with (home / "lock").open("w") as lock:
        what = "the base image, which another process makes,"
        wait_until(partial(_locked, lock), what=what, timeout_s=_TIMEOUT_S, interval_s=0.5)
        shutil.rmtree(folder, ignore_errors=True)  # of one that was killed
        folder.mkdir()
        try:
            yield folder, lock.fileno()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _locked(lock: IO[str]) -> bool | None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    return True
