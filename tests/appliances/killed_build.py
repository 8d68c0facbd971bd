"""A build that is killed at one edge of its steps, as a program of its own.

python -m tests.appliances.killed_build RECIPE EDGE     edges count from 1; 0: it isn't killed
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliances import recipe as recipes
from appliances.builder import Builder
from appliances.progress import OnLine, Progress
from appliances.services import Services
from provision import desk
from provision.site import Site


class Deadly(Progress):
    """Shows progress, and kills its process before or after a step."""

    def __init__(self, edge: int) -> None:
        super().__init__()
        self._left = edge

    @contextmanager
    def step(self, title: str) -> Iterator[OnLine]:
        """Show a step, with its two edges."""
        self._edge()
        with super().step(title) as on_line:
            yield on_line
        self._edge()

    def _edge(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def _none() -> Iterator[Services]:
    raise AssertionError("an image without an agent needs no manager")
    yield


def main() -> None:
    """Build."""
    file, edge = sys.argv[1:]
    env, here = os.environ, Path.cwd()
    with desk.opened(None, env=env, folder=here) as cloud:
        site = Site(cloud, desk.find_inventory(env, here), secrets=desk.secrets_at(env, here))
        Builder(site, recipes.load(Path(file)), _none, Deadly(int(edge))).build()


if __name__ == "__main__":
    main()
