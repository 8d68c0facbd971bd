"""Makes the local cloud's base image, once on a computer: tests only find it. For `make test`."""

import logging
import sys
import time

from provision.drivers.local import base
from provision.errors import ProvisionError
from tests.provision.local.machines import lacking


def main() -> None:
    """Make it if it isn't there and machines can run here; say how long it took."""
    if missing := lacking():
        sys.stderr.write(f"no local machines here: {missing}; their tests are skipped\n")
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    began = time.monotonic()
    try:
        base.ensure()
    except ProvisionError as error:
        sys.exit(f"error: {error}")
    if (took := time.monotonic() - began) > 1:
        sys.stderr.write(f"made in {took:.0f} s\n")


if __name__ == "__main__":
    main()
