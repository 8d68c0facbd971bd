"""Doing a recipe's steps on a machine, and noting there which are done: a later run goes on."""

import logging
import shlex
from collections.abc import Mapping, Sequence

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from appliances.progress import OnLine, Progress
from appliances.steps import Step
from provision.scrub import IN_MEMORY, STAGE
from provision.ssh import CommandError, Shell

log = logging.getLogger(__name__)

_DONE = f"{STAGE}/done"
VARIABLES = f"{IN_MEMORY}/env"
_SHORT_S = 60
#: What went into an image, for whoever looks at a machine of it.
RECORD = "/usr/share/streamboss/image"
_CLOUD_INIT_S = 600


def booted(shell: Shell) -> None:
    """Wait until cloud-init, where there is one, has done its work.

    Raises:
        CommandError: it failed, or isn't done in time.
    """
    # 2: done, with warnings that are none of ours
    wait = "cloud-init status --wait >/dev/null; status=$?; [ $status = 2 ] || exit $status"
    shell.run(f"command -v cloud-init >/dev/null || exit 0; {wait}", timeout_s=_CLOUD_INIT_S)


def done(shell: Shell) -> list[str]:
    """Return the digests of the steps that were done on a machine."""
    return shell.run(f"cat {_DONE} 2>/dev/null || true", timeout_s=_SHORT_S).split()


def install(
    shell: Shell, steps: Sequence[Step], variables: Mapping[str, str], progress: Progress
) -> None:
    """Do `steps`, each noted on the machine when it is done.

    Raises:
        CommandError: a command failed, all its attempts; with its last lines.
        ProvisionError: a file couldn't be copied, or the connection broke.
    """
    set_variables(shell, variables)
    for number, step in enumerate(steps, start=1):
        with progress.step(f"install {number}/{len(steps)}: {step.title}") as on_line:
            _repeated(shell, step, on_line)
            shell.run(
                f"mkdir -p {STAGE} && echo {step.digest} >>{_DONE} && sync {_DONE}",
                timeout_s=_SHORT_S,
            )


def record(shell: Shell, built_from: Mapping[str, str]) -> str:
    """Leave on the machine what went into it: packages with versions, and what it was built from.

    Returns:
        The same as one text.

    Raises:
        CommandError: its disk is full, most likely.
    """
    text = "".join(f"{name}: {value}\n" for name, value in built_from.items())
    shell.put_text(text, f"{RECORD}/built-from", mode=0o644)
    shell.run(
        f"cd {RECORD} && (dpkg-query --show || rpm --query --all) >packages 2>/dev/null;"
        " for python in /opt/*/bin/python; do"
        ' [ ! -x "$python" ] || "$python" -m pip list --format=freeze'
        f" --disable-pip-version-check; done >{RECORD}/python",
        timeout_s=_SHORT_S,
    )
    return shell.run(
        f"cd {RECORD} && for part in built-from packages python; do"
        ' echo "# $part"; cat "$part"; done',
        timeout_s=_SHORT_S,
    )


def set_variables(shell: Shell, variables: Mapping[str, str]) -> None:
    """Put what commands find in their environment on the machine; secrets in no command line."""
    lines = {"DEBIAN_FRONTEND": "noninteractive", **variables}
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in lines.items())
    shell.put_text(text, VARIABLES, mode=0o600)


def run(shell: Shell, command: str, *, timeout_s: float, on_line: OnLine | None = None) -> None:
    """Run a recipe's command as root, in root's home, with the variables set before.

    Raises:
        CommandError: its exit status is another than 0, or it took too long.
    """
    with_variables = f"set -a; . {VARIABLES}; set +a; cd; {command}"
    try:
        shell.run(with_variables, timeout_s=timeout_s, on_line=on_line)
    except CommandError as error:
        end = f"no end after {timeout_s:g} s" if error.status is None else f"exit {error.status}"
        raise CommandError(f"{command}: {end}", error.status, error.tail) from error


def _repeated(shell: Shell, step: Step, on_line: OnLine) -> None:
    attempts = Retrying(
        retry=retry_if_exception_type(CommandError),
        stop=stop_after_attempt(1 + step.retries),
        wait=wait_random_exponential(multiplier=2, max=30),
        before_sleep=lambda _: on_line("failed; trying again"),
        reraise=True,
    )
    attempts(_once, shell, step, on_line)


def _once(shell: Shell, step: Step, on_line: OnLine) -> None:
    if step.upload:
        shell.put(step.upload.source(shell), step.upload.target, mode=step.upload.mode)
    if step.command:
        run(shell, step.command, timeout_s=step.timeout_s, on_line=on_line)
