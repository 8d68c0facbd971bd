"""Machines that a person starts, works on, saves and ends: the quickstart's way."""

import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from urllib.parse import urlsplit

from appliances import images, scrub, services
from appliances.baking import AGENT
from appliances.machines import has_agent, tell, user_data
from appliances.services import Manager
from appliances.site import Site
from appliances.user_data import AGENT_FILE, LEASE_FILE, agent_file, lease_files
from provision import leases
from provision.errors import ProvisionError
from provision.machine import APPLIANCE, BASE, Image, Machine, Role
from provision.ssh import Shell

_SHORT_S = 60
_RENEW_S = 15
_AGENT_S = 120


def run(
    site: Site,
    appliance: str,
    *,
    hours: float | None,
    size: str | None,
    save_as: str | None,
    manager: Manager | None,
) -> Machine:
    """Launch a machine of an appliance and wait until it lets us in; its agent answers `manager`.

    Raises:
        ProvisionError: no such image, or the machine doesn't come up; nothing is left then.
    """
    cloud, entry = site.cloud, site.inventory.appliance(appliance)
    image = images.of_appliance(cloud, appliance)
    hours = hours or entry.hours
    if save_as:
        cloud.images.check_free(save_as)
    name = f"{appliance.replace('.', '-')}-{secrets.token_hex(3)}"
    files = lease_files(cloud.lease(hours))
    joins = manager if image.tags.get(AGENT) != "no" else None
    if joins:
        files |= agent_file(cloud.name, cloud.entry, services.join(joins, name, appliance))
    try:
        machine = cloud.launch(
            image.id,
            name=name,
            size=size or entry.size,
            hours=hours,
            save_as=save_as,
            user_data=user_data(site, files),
            public_key=site.key.public,
            tags={APPLIANCE: appliance},
        )
        return _let_in(site, machine, files, joins)
    except BaseException:
        forget(joins, name)
        raise


def save(site: Site, machine: Machine, name: str) -> Image:
    """Save a machine as an appliance's image, without keys and identities; it stays, stopped.

    Raises:
        ProvisionError: the name is taken, the machine can't be reached, or saved.
    """
    site.cloud.images.check_free(name)
    with site.shell(machine) as shell:
        agent = has_agent(shell)
        scrub.scrub(shell, [site.key.public.split()[1], *_passwords(shell)])
    tags = {APPLIANCE: name, BASE: machine.image, AGENT: "yes" if agent else "no"}
    return site.cloud.save(machine, name, tags=tags, role=Role.IMAGE)


def terminate(site: Site, machine: Machine, manager: Manager | None) -> None:
    """Terminate a machine; its node goes, too."""
    site.cloud.terminate(machine)
    forget(manager, machine.name)


def renew(site: Site, machine: Machine, hours: float) -> tuple[Machine, str]:
    """Let a machine's lease end `hours` from now; return it, and what could not be told to it.

    Raises:
        ProvisionError: more hours than the cloud allows.
    """
    renewed = site.cloud.renew(machine, hours)
    if renewed.lease is None:
        return renewed, ""
    try:
        with site.shell(renewed, timeout_s=_RENEW_S) as shell:
            shell.put_text(f"{leases.written(renewed.lease.ends_at)}\n", LEASE_FILE, mode=0o600)
    except ProvisionError as error:
        return renewed, f"its own timer doesn't know of it: {error}"
    return renewed, ""


def forget(manager: Manager | None, node: str) -> None:
    """Remove a machine's node, if it was one."""
    # a manager that doesn't answer must not keep a machine alive; it calls the node lost
    with suppress(Exception):
        if manager:
            manager.delete("nodes", node)


def _let_in(
    site: Site, machine: Machine, files: Mapping[str, str], manager: Manager | None
) -> Machine:
    try:
        ready = site.cloud.wait_ready(machine)
        with site.shell(ready) as shell:
            tell(site, shell, files)
            if manager:
                services.wait_for_node(manager, machine.name, timeout_s=_AGENT_S)
        return replace(ready, name=machine.name)
    except BaseException:
        site.cloud.terminate(machine)
        raise


def _passwords(shell: Shell) -> list[str]:
    """Return the passwords in the machine's agent.json."""
    text = shell.run(f"cat {AGENT_FILE} 2>/dev/null || true", timeout_s=_SHORT_S)
    try:
        urls = json.loads(text)["amqp_urls"]
    except (ValueError, KeyError, TypeError):
        return []
    return [password for url in urls if (password := urlsplit(url).password)]
