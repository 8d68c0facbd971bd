"""A cloud of moto's behind its front, for managers."""

from tests.provision.conftest import front, moto, moto_port

__all__ = ["front", "moto", "moto_port"]
