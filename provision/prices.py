"""What machines cost: what the inventory says, else what libcloud knows.

libcloud's price lists are old, and not of all clouds.
"""

from collections.abc import Iterable

from provision import launching
from provision.cloud import Cloud
from provision.errors import Kind, ProvisionError
from provision.machine import Machine


def hourly(cloud: Cloud, size: str) -> float | None:
    """Return what a machine of `size` costs an hour, in the cloud's currency; None: nobody knows.

    Raises:
        ProvisionError: no such size, or the cloud doesn't answer.
    """
    wanted = launching.size_id(cloud.name, cloud.entry, size)
    said = cloud.entry.prices
    if size in said or wanted in said:
        return said.get(size, said.get(wanted))
    sizes = cloud.account.repeat("list sizes", cloud.account.driver.list_sizes)
    return next((s.price for s in sizes if wanted in (s.id, s.name)), None)


def of_machines(cloud: Cloud, machines: Iterable[Machine]) -> dict[str, float | None]:
    """Return what machines cost an hour, by the cloud's own word for their size.

    Raises:
        ProvisionError: the cloud doesn't answer.
    """
    ours = {own: name for name, own in cloud.entry.sizes.items()}
    return {size: _known(cloud, ours.get(size, size)) for size in {m.size for m in machines}}


def _known(cloud: Cloud, size: str) -> float | None:
    try:
        return hourly(cloud, size)
    except ProvisionError as error:
        if error.kind is not Kind.FATAL:
            raise
        return None  # a size that the inventory doesn't name
