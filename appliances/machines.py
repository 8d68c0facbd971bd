"""Machines for a while: to build on, and to try an image."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from appliances.progress import Progress
from appliances.site import Site
from appliances.user_data import cloud_config, lease_files, shutdown
from provision.capabilities import Capability
from provision.machine import APPLIANCE, Image, Machine, Role
from provision.ssh import Shell

#: Every image with a stream agent has this unit.
AGENT_UNIT = "streamboss-agent.service"
#: What a build takes at most; a builder kept after a failure gets as much again.
HOURS = 2.0


def launch(
    site: Site,
    image: Image,
    *,
    appliance: str,
    role: Role,
    size: str,
    hours: float = HOURS,
    files: Mapping[str, str] | None = None,
) -> Machine:
    """Launch a machine that ends itself when its lease has ended, and return it when it runs.

    Raises:
        ProvisionError: it can't be launched, or never runs; then it was terminated.
    """
    cloud = site.cloud
    lease = cloud.lease(hours, role)
    machine = cloud.launch(
        image.id,
        name=f"{role}-{appliance}",
        size=size,
        hours=hours,
        role=role,
        user_data=user_data(site, {**lease_files(lease), **(files or {})}, [shutdown(lease)]),
        public_key=site.key.public,
        tags={APPLIANCE: appliance},
    )
    try:
        return cloud.wait_ready(machine)
    except BaseException:
        cloud.terminate(machine)
        raise


def user_data(site: Site, files: Mapping[str, str], commands: Sequence[Sequence[str]] = ()) -> str:
    """Return what a machine's cloud-init is told; nothing where it is told by ssh."""
    if told_by_ssh(site.cloud.account.can):
        return ""
    return cloud_config(site.key.public, files, commands)


def told_by_ssh(can: frozenset[Capability]) -> bool:
    """Say whether machines of a cloud that `can` do this get their files by ssh, once they are up.

    Where the cloud takes no user data, or, as Nimbus, lets us in and ends machines by itself, but
    only those that were told nothing.
    """
    alone = frozenset({Capability.LEASE, Capability.KEY_PAIRS})
    return Capability.USER_DATA not in can or alone <= can


def tell(site: Site, shell: Shell, files: Mapping[str, str]) -> None:
    """Give a machine its files by ssh, if cloud-init didn't, and start its agent."""
    if told_by_ssh(site.cloud.account.can):
        for path, text in files.items():
            shell.put_text(text, path, mode=0o600)
        shell.run(f"systemctl start --no-block {AGENT_UNIT} || true", timeout_s=60)


@contextmanager
def tester(
    site: Site,
    image: Image,
    *,
    appliance: str,
    size: str,
    files: Mapping[str, str],
    progress: Progress,
) -> Iterator[Machine]:
    """Give a machine that tries an image, for the length of a `with` block."""
    with progress.step("boot test: launch"):
        machine = launch(site, image, appliance=appliance, role=Role.TEST, size=size, files=files)
    try:
        yield machine
    finally:
        with progress.step("boot test: terminate"):
            site.cloud.terminate(machine)


def has_agent(shell: Shell) -> bool:
    """Say whether a machine has a stream agent that starts by itself."""
    said = shell.run(f"systemctl is-enabled {AGENT_UNIT} 2>/dev/null || true", timeout_s=60)
    return said.strip() == "enabled"
