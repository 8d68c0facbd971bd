"""Machines for a while: to build on, and to try an image."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from appliances.progress import Progress
from appliances.site import Site
from appliances.user_data import cloud_config, lease_files, shutdown
from provision.capabilities import Capability
from provision.errors import ProvisionError
from provision.leases import Lease
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
        user_data=_user_data(site, files or {}, lease),
        public_key=site.key.public,
        tags={APPLIANCE: appliance},
    )
    try:
        return cloud.wait_ready(machine)
    except ProvisionError:
        cloud.terminate(machine)
        raise


def _user_data(site: Site, files: Mapping[str, str], lease: Lease) -> str:
    """Return what a machine has to be told: nothing, if its cloud ends it and lets us in by itself.

    Nimbus saves only machines that were told nothing.
    """
    if not files and {Capability.LEASE, Capability.KEY_PAIRS} <= site.cloud.account.can:
        return ""
    told = {**lease_files(lease), **files}
    return cloud_config(site.key.public, told, [shutdown(lease)])


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
