"""Machines that a person starts, works on, saves and ends: the quickstart's way."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace

from appliances import images, joined, services
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
    hours = entry.hours if hours is None else hours
    if save_as:
        cloud.images.check_free(save_as)
    name = f"{appliance.replace('.', '-')}-{secrets.token_hex(3)}"
    lease, joins = cloud.lease(hours), manager if image.tags.get(AGENT) != "no" else None
    with _joining(site, name, offer(appliance, image), joins) as joining:
        files = {**joining, **lease_files(lease)}
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


@contextmanager
def _joining(
    site: Site, node: str, offer: str, manager: Manager | None
) -> Iterator[dict[str, str]]:
    """Let a machine join while it is launched; gives its agent.json, if there is a manager."""
    if manager is None:
        yield {}
        return
    with joined.noted(site, node):
        try:
            config = services.join(manager, node, offer)
            yield agent_file(site.cloud.name, site.cloud.entry, config)
        except BaseException:
            _forget(site, manager, node)
            raise


def terminate(site: Site, machine: Machine, manager: Manager | None) -> None:
    """Terminate a machine; its node goes, too."""
    site.cloud.terminate(machine)
    if manager:
        _forget(site, manager, machine.name)


def forget_ended(
    site: Site, manager: Manager, *, dry_run: bool, say: Callable[[str], object]
) -> None:
    """Remove the nodes of machines that have ended, or that a killed launch never made."""
    for node in joined.stale(site):
        say(f"remove node {node}: it has no machine")
        if not dry_run:
            joined.forget(site, node, manager)


def _forget(site: Site, manager: Manager, node: str) -> None:
    """Remove a machine's node, if it was one."""
    # a manager that doesn't answer must not keep a machine alive; garbage collection asks again
    with suppress(Exception):
        joined.forget(site, node, manager)


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
