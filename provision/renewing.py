"""Renewing a lease: the cloud's tag first, then the machine's own timer."""

from datetime import UTC, datetime

from provision.errors import ProvisionError
from provision.machine import Machine
from provision.site import Site
from provision.user_data import LEASE_FILE, lease_file

_LOGIN_S = 15


def renew(site: Site, machine: Machine, hours: float) -> tuple[Machine, str]:
    """Let a machine's lease end `hours` from now; return it, and what could not be told to it.

    Raises:
        ProvisionError: more hours than the cloud allows.
    """
    renewed = site.cloud.renew(machine, hours)
    if renewed.lease is None:
        return renewed, ""
    try:
        with site.shell(renewed, timeout_s=_LOGIN_S) as shell:
            told = lease_file(renewed.lease, datetime.now(UTC))
            shell.put_text(told[LEASE_FILE], LEASE_FILE, mode=0o600)
    except ProvisionError as error:
        return renewed, f"its own timer doesn't know of it: {error}"
    return renewed, ""
