"""What a builder does to a cloud, as a program of its own, so that it can be killed anywhere.

python -m tests.provision.baking bake|recover PORT FOLDER
"""

import sys
from pathlib import Path

from provision.cloud import Cloud
from provision.journal import Journal
from provision.machine import ROLE, Role
from provision.recovery import recover
from tests.provision.machinery import ec2_cloud, local_cloud

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSSwYJmHhGjBjUFJLCjWXQKbjRrVTqJ8dHwTEsT00 test"
OLD, NEW = "my-operation-1", "my-operation-2"


def bake(cloud: Cloud) -> None:
    """Launch a builder, save it, boot-test the image, promote it, and drop the one before it."""
    recover(cloud)
    mine = {i.name: i for i in cloud.account.images() if cloud.account.ours(i)}
    if NEW not in mine:
        builder = cloud.launch("debian", name="builder", hours=1, role=Role.BUILD, public_key=KEY)
        builder = cloud.renew(cloud.wait_ready(builder), 2)
        mine[NEW] = cloud.save(builder, NEW, tags=TAGS, role=Role.CANDIDATE)
        cloud.terminate(builder)
    tester = cloud.launch(NEW, name="tester", hours=1, role=Role.TEST)
    cloud.wait_ready(tester)
    cloud.images.tag(mine[NEW], {ROLE: Role.IMAGE})
    cloud.terminate(tester)
    if OLD in mine:
        cloud.images.delete(mine[OLD])


TAGS = {"streamboss:appliance": "my-operation"}


def main() -> None:
    """Run one of the two."""
    what, where, folder = sys.argv[1:]
    with Journal(Path(folder)) as journal:
        local = not where.isdigit()
        cloud = (
            local_cloud(where, journal) if local else ec2_cloud(int(where), journal, grace_s=0.3)
        )
        if what == "bake":
            bake(cloud)
        else:
            recover(cloud)


if __name__ == "__main__":
    main()
