"""Machines that a person starts, works on, saves and ends: the quickstart's way."""

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from appliances import images, services
from appliances.services import Manager
from provision import agent
from provision.images import offer
from provision.machine import AGENT, APPLIANCE, Machine
from provision.site import Site
from provision.user_data import agent_file, lease_files, user_data

_AGENT_S = 120


def run(
    site: Site,
    wanted: str,
    *,
    hours: float | None,
    size: str | None,
    save_as: str | None,
    manager: Manager | None,
) -> Machine:
    """Launch a machine of an appliance and wait until it lets us in; its agent answers `manager`.

    `wanted`: the appliance, or one image of it as definitions are pinned to it (`NAME@HASH`).

    Raises:
        ProvisionError: no such image, or the machine doesn't come up; nothing is left then.
    """
    cloud = site.cloud
    image = images.of_appliance(cloud, wanted)
    appliance = wanted.partition("@")[0]
    entry = site.inventory.appliance(appliance)
    hours = hours or entry.hours
    if save_as:
        cloud.images.check_free(save_as)
    name = f"{appliance.replace('.', '-')}-{secrets.token_hex(3)}"
    files = lease_files(cloud.lease(hours))
    joins = manager if image.tags.get(AGENT) != "no" else None
    if joins:
        config = services.join(joins, name, offer(appliance, image))
        files |= agent_file(cloud.name, cloud.entry, config)
    try:
        machine = cloud.launch(
            image.id,
            name=name,
            size=size or entry.size,
            hours=hours,
            save_as=save_as,
            user_data=user_data(cloud.account.can, site.key.public, files),
            public_key=site.key.public,
            tags={APPLIANCE: appliance},
        )
        return _let_in(site, machine, files, joins)
    except BaseException:
        forget(joins, name)
        raise


def terminate(site: Site, machine: Machine, manager: Manager | None) -> None:
    """Terminate a machine; its node goes, too."""
    site.cloud.terminate(machine)
    forget(manager, machine.name)


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
            agent.tell(site.cloud.account.can, shell, files)
            if manager:
                services.wait_for_node(manager, machine.name, timeout_s=_AGENT_S)
        return replace(ready, name=machine.name)
    except BaseException:
        site.cloud.terminate(machine)
        raise
