"""Our cloud on a front, as tests and their child processes make it."""

from functools import partial
from typing import Any

from provision.account import Account
from provision.cloud import Cloud
from provision.drivers import driver_for
from provision.entries import Ec2Entry, Limits, Ssh
from provision.inventory import Inventory
from provision.journal import Journal
from provision.secrets import Secrets

OWNER = "tests"
SECRETS = Secrets({"STREAMBOSS_SECRET_MOTO_KEY": "k", "STREAMBOSS_SECRET_MOTO_SECRET": "s"})


def entry(port: int, **more: Any) -> Ec2Entry:
    """Return an inventory entry for a front."""
    return Ec2Entry(
        kind="ec2",
        host="127.0.0.1",
        port=port,
        secure=False,
        credentials="moto",
        images={"debian": "debian-12-base"},
        sizes={"small": "t3.small"},
        limits=more.pop("limits", Limits(hours=744, machines=8, calls_per_s=1000)),
        ssh=Ssh(cidr="10.0.0.0/8"),
        **more,
    )


def ec2_cloud(
    port: int, journal: Journal, *, owner: str = OWNER, grace_s: float = 2, **more: Any
) -> Cloud:
    """Return the cloud behind a front."""
    described = entry(port, **more)
    account = Account(
        "moto",
        described,
        owner=owner,
        connect=partial(driver_for, "moto", described, SECRETS, journal.folder),
        remembered=journal.tags_by_attempt,
        saved=partial(journal.images_by_name, "moto"),
    )
    return Cloud(account, journal, grace_s=grace_s, interval_s=0.05)


def local_cloud(name: str, journal: Journal) -> Cloud:
    """Return a local cloud of this name."""
    inventory = Inventory.model_validate(
        {
            "defaults": {"cloud": name, "owner": OWNER},
            "clouds": {name: {"kind": "local", "images": {"debian": "debian-12"}}},
        }
    )
    opened = Cloud.open(inventory, None, journal=journal, secrets=SECRETS)
    return Cloud(opened.account, journal, grace_s=1, interval_s=0.1)
