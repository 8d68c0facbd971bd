"""What machines cost: what the inventory says, else what libcloud knows.

libcloud's price lists are old, and not of all clouds.
"""

from provision import launching
from provision.cloud import Cloud


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
