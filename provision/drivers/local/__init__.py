"""Machines on this computer: a libcloud driver over podman."""

from provision.drivers.local.driver import LocalNodeDriver

__all__ = ["LocalNodeDriver"]
