"""Nimbus' own command, cloud-client.sh: leases, saving, and the handles that its users know.

What it prints is what the scripts of its users have always read; there is no other interface.
"""

import fcntl
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from provision.errors import Kind, ProvisionError

#: The token of the launch that made a handle, in the handle's folder of the history.
_TOKEN_FILE = "streamboss-token"  # noqa: S105 a file's name
#: The token of the launch that is under way, in the history itself.
_LAUNCHING = "streamboss-launching"
_HANDLES = "vm-*"
#: Locked while a launch or saves are under way; the locks outlive us in what does the work.
_LAUNCHES, _SAVES = ".launches", ".saves"
_CREATING = re.compile(r'Creating workspace "(vm-\d+)"')
_WORKSPACE = re.compile(r"^\[\*\] - Workspace #\d+\. (\S+) \[ *(\S*) *\]")
_FIELD = re.compile(r"^\s*\*?(State|Handle|Image): (.+?)\s*$")
_IMAGE = re.compile(r"^\[Image\] '([^']+)'")
_SECRETIVE = re.compile(r"passphrase|password", re.IGNORECASE)
_TIMEOUT_S = 600.0
#: Saving moves a whole disk.
_SAVE_TIMEOUT_S = 7200.0
_KINDS = (
    (re.compile(r"requires credential|proxy.*expired|[Aa]uthenticat|not authorized"), Kind.AUTH),
    (re.compile(r"not enough|[Rr]esource.*denied|no network.*available|in use"), Kind.CAPACITY),
    (re.compile(r"no such|not find|cannot be found|unknown"), Kind.GONE),
    (re.compile(r"[Cc]onnection refused|timed out|[Cc]onnection reset"), Kind.RETRY),
)


@dataclass(frozen=True, slots=True)
class Workspace:
    """What Nimbus calls a machine, as `--status` prints it; `handle` if it is in our history."""

    address: str
    state: str = ""
    handle: str | None = None
    image: str = ""


@dataclass(frozen=True, slots=True)
class CloudClient:
    """One cloud-client.sh with a history folder of ours alone: a handle in there is ours."""

    program: Path
    history: Path
    conf: Path | None
    name: str

    def run(
        self, image: str, *, hours: float, token: str, new_name: str | None, key_name: str | None
    ) -> str:
        """Launch a machine from `image` for `hours`; return its handle.

        One launch at a time, also of those whose caller was killed: so a handle that bears no
        token yet is of the launch that was under way, whatever crashed.
        """
        command = ["--run", "--name", image, "--hours", f"{hours:g}", "--nospinner"]
        if new_name:
            command += ["--newname", new_name]
        if key_name:
            command += ["--ssh-pubkey", str(self._key(key_name))]
        self.history.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = None
        with (self.history / _LAUNCHES).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._settle()
            (self.history / _LAUNCHING).write_text(token, encoding="ascii")
            for line in self._lines(command, _TIMEOUT_S, hold=lock.fileno()):
                found = _CREATING.search(line)
                handle = found[1] if found else handle
            self._settle()
        if handle is None:
            raise ProvisionError(f"{self.name}: --run said nothing of a handle")
        return handle

    def busy(self) -> bool:
        """Say whether a launch or a save is under way, perhaps one whose caller was killed."""
        try:
            for path in (self.history / _LAUNCHES, self.history / _SAVES):
                if path.exists():
                    with path.open() as lock:
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False

    def keep_key(self, name: str, public_key: str) -> None:
        """Keep a public key for later launches."""
        path = self._key(name)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(public_key.strip() + "\n", encoding="ascii")

    def status(self) -> list[Workspace]:
        """Return everything that runs in this account."""
        return list(_workspaces(self._lines(["--status"], _TIMEOUT_S)))

    def save(self, handle: str, new_name: str) -> None:
        """Save a machine as an image; Nimbus ends it. Never without a name: that overwrites."""
        command = ["--save", "--handle", handle, "--newname", new_name]
        with (self.history / _SAVES).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            for _ in self._lines(command, _SAVE_TIMEOUT_S, hold=lock.fileno()):
                pass

    def terminate(self, handle: str) -> None:
        """End a machine."""
        self._all(["--terminate", "--handle", handle])

    def delete_image(self, name: str) -> None:
        """Delete an image of the user's own repository."""
        self._all(["--delete", "--name", name])

    def images(self) -> list[str]:
        """Return the names of the images that machines can be launched from."""
        found = (_IMAGE.match(line) for line in self._lines(["--list"], _TIMEOUT_S))
        return [match[1].strip() for match in found if match]

    def token_of(self, handle: str) -> str:
        """Return the token of the launch that made `handle`."""
        for path in (self.history / handle / _TOKEN_FILE, self.history / _LAUNCHING):
            with suppress(OSError):
                return path.read_text(encoding="ascii").strip()
        return ""

    def launched_at(self, handle: str) -> datetime | None:
        """Return when `handle` was launched, by this computer's clock."""
        try:
            changed = (self.history / handle).stat().st_ctime
        except OSError:
            return None
        return datetime.fromtimestamp(changed, UTC)

    def _settle(self) -> None:
        """Give handles without a token that of the launch which made them."""
        for folder in self.history.glob(_HANDLES):
            if not (folder / _TOKEN_FILE).exists():
                token = self.token_of(folder.name)
                new = folder / f".{_TOKEN_FILE}"
                new.write_text(token, encoding="ascii")
                new.rename(folder / _TOKEN_FILE)

    def _key(self, name: str) -> Path:
        return self.history.parent / f"{self.history.name}-keys" / f"{name}.pub"

    def _all(self, command: Sequence[str]) -> None:
        for _ in self._lines(command, _TIMEOUT_S):
            pass

    def _lines(
        self, command: Sequence[str], timeout_s: float, hold: int | None = None
    ) -> Iterator[str]:
        """Run one command; yield what it prints as it comes. It keeps `hold` open as we do.

        Raises:
            ProvisionError: it can't be run, or fails: with the last line that says why.
        """
        self.history.mkdir(parents=True, exist_ok=True, mode=0o700)
        conf = ["--conf", str(self.conf)] if self.conf else []
        whole = [str(self.program), *conf, "--history-dir", str(self.history), *command]
        try:
            # of its own session: a signal to us must not cut off what it has begun
            process = subprocess.Popen(
                ["/usr/bin/timeout", "--kill-after=10", f"{timeout_s:g}", *whole],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
                pass_fds=() if hold is None else (hold,),
            )
        except OSError as error:
            raise ProvisionError(f"{self.program}: {error.strerror} (cloud_client)") from None
        said = list[str]()
        with process:
            for line in process.stdout or ():
                said.append(line)
                yield line.rstrip()
        if process.returncode != 0:
            raise _failure(self.name, command[0], process.returncode, said)


def _workspaces(lines: Iterator[str]) -> Iterator[Workspace]:
    known: dict[str, str] | None = None
    for line in lines:
        if head := _WORKSPACE.match(line):
            if known:
                yield _workspace(known)
            known = {"address": head[1]}
        elif known is not None and (found := _FIELD.match(line)):
            known[found[1].lower()] = found[2]
    if known:
        yield _workspace(known)


def _workspace(known: dict[str, str]) -> Workspace:
    return Workspace(
        address=known["address"],
        state=known.get("state", ""),
        handle=known.get("handle"),
        image=known.get("image", ""),
    )


def _failure(name: str, action: str, status: int, said: Sequence[str]) -> ProvisionError:
    if status == 124:  # noqa: PLR2004 what timeout exits with
        return ProvisionError(f"{name}: {action}: no end in time", Kind.RETRY)
    lines = [line.strip() for line in said if line.strip() and not _SECRETIVE.search(line)]
    text = " ".join(lines[-3:])[:500] or f"exit {status}"
    kind = next((kind for pattern, kind in _KINDS if pattern.search(text)), Kind.FATAL)
    return ProvisionError(f"{name}: {action}: {text}", kind)
