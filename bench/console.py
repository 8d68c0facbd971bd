"""What five people who look at the console cost a manager that has much to show.

A viewer does what a browser does: hears at `/live/` that something changed, and then fetches the
live part of its page anew.
"""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx

from bench.path import Turn, percent_of_a_core
from streams.settings import Settings
from tests.deployment import ADMIN, Deployment

LOOKED_AT = "five people looking at the console, in addition"
#: Who looks at what, and of which changes each page wants to hear.
PLACES = {
    "/": ("look",),
    "/streams/?order=-rate": ("look",),
    "/operations/": ("look",),
    "/nodes/": ("nodes",),
    "/operations/o7/": ("look", "nodes"),
}
_DATA = "data: "
_FIRST = 10
_LOOKED_S, _REST_S = 20.0, 5.0


def looked_at(deployment: Deployment) -> Iterator[Turn]:
    """The manager's CPU with nobody, and with five people who look; how fast a page comes."""
    alone = percent_of_a_core(_LOOKED_S, deployment.manager.pid)
    with _viewers(deployment.settings):
        time.sleep(_REST_S)
        together = percent_of_a_core(_LOOKED_S, deployment.manager.pid)
    yield Turn(LOOKED_AT, together - alone, unit="%")
    for place in tuple(PLACES)[:4]:
        yield Turn(shown(place), 1000 * _page_s(deployment, place), unit="ms")


def shown(place: str) -> str:
    """Name what is measured of a page."""
    return f"the console's {place}, until it is there"


def _page_s(deployment: Deployment, place: str) -> float:
    """Return how long a page takes whoever comes to a console that nobody has looked at lately."""
    took_s = []
    with _logged_in(deployment.settings) as http:
        for _ in range(_FIRST):
            time.sleep(0.5)
            began_s = time.monotonic()
            http.get(place).raise_for_status()
            took_s.append(time.monotonic() - began_s)
    return sorted(took_s)[_FIRST // 2]


@contextmanager
def _viewers(settings: Settings) -> Iterator[None]:
    """Let five people look, each at a page of their own."""
    over = threading.Event()
    people = [
        threading.Thread(target=_look, args=(settings, place, kinds, over), daemon=True)
        for place, kinds in PLACES.items()
    ]
    for person in people:
        person.start()
    try:
        yield
    finally:
        over.set()
        for person in people:
            person.join(10)


def _look(settings: Settings, place: str, kinds: Sequence[str], over: threading.Event) -> None:
    before = None
    with _logged_in(settings) as http:
        while not over.is_set():
            with http.stream("GET", "/live/") as live:
                for line in live.iter_lines():
                    if over.is_set():
                        return
                    if not line.startswith(_DATA):
                        continue
                    told = json.loads(line.removeprefix(_DATA))
                    if (now := [told[kind] for kind in kinds]) != before:
                        before = now
                        http.get(place, headers={"hx-request": "true"}).raise_for_status()
                        if place == "/":
                            http.get("/topology/").raise_for_status()


@contextmanager
def _logged_in(settings: Settings) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=settings.need_manager(), trust_env=False, timeout=30) as http:
        http.post("/login/", data={"name": ADMIN[0], "password": ADMIN[1]})
        yield http
