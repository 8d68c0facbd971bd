"""Machines for a while: to build on, and to try an image."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from appliances.progress import Progress
from provision.machine import APPLIANCE, Image, Machine, Role
from provision.site import Site
from provision.user_data import lease_files, shutdown, user_data

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
    told = {**lease_files(lease), **(files or {})}
    machine = cloud.launch(
        image.id,
        name=f"{role}-{appliance}",
        size=size,
        hours=hours,
        role=role,
        user_data=user_data(cloud.account.can, site.key.public, told, [shutdown(lease)]),
        public_key=site.key.public,
        tags={APPLIANCE: appliance},
    )
    try:
        return cloud.wait_ready(machine)
    except BaseException:
        cloud.terminate(machine)
        raise


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
