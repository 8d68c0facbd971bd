"""Tells a manager of a build, so that others see it there. No build fails because of that."""

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from appliances.progress import Progress
from appliances.services import Manager
from streams.errors import StreamsError

#: What waits for a manager that is away; it is asked again with the next step, after so long.
_MOST_UNTOLD, _PAUSE_S = 1000, 10.0
#: So much of what went wrong is told: the end of it.
_REASON = 4000


class Telling:
    """What is told of one build, in order; what can't be told now is told with what comes next."""

    def __init__(self, manager: Manager | None, name: str, note: Callable[[str], object]) -> None:
        self.manager, self._name, self._note = manager, name, note
        self._untold: deque[Callable[[Manager], object]] = deque(maxlen=_MOST_UNTOLD)
        self._not_before_s = float("-inf")

    def begun(self, appliance: str, cloud: str, lease_hours: float) -> None:
        """Tell that it begins."""
        told = {"appliance": appliance, "cloud": cloud, "lease_hours": lease_hours}
        self._tell(lambda manager: manager.begin_build(self._name, **told))

    def step(self, title: str, state: str, duration_s: float | None = None) -> None:
        """Tell that a step begins, or how it ended."""
        told = {"step": title, "state": state, "duration_s": duration_s}
        self._tell(lambda manager: manager.tell_step(self._name, **told))

    def ended(self, state: str, *, image: str = "", reason: str = "") -> None:
        """Tell how it ended: done, unchanged or failed."""
        self._not_before_s = float("-inf")
        told = {"state": state, "image": image, "reason": reason}
        self._tell(lambda manager: manager.end_build(self._name, **told))

    def _tell(self, call: Callable[[Manager], object]) -> None:
        if self.manager is None:
            return
        self._untold.append(call)
        if time.monotonic() < self._not_before_s:
            return
        try:
            while self._untold:
                self._untold[0](self.manager)
                self._untold.popleft()
        except StreamsError as error:
            self._give_up(error)

    def _give_up(self, error: StreamsError) -> None:
        """Wait for a manager that is away; tell nothing more to one that doesn't want to hear."""
        status = getattr(error, "status", None) or HTTPStatus.SERVICE_UNAVAILABLE
        self._not_before_s = time.monotonic() + _PAUSE_S
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            self.manager = None
            self._untold.clear()
            self._note(f"note: the manager isn't told of this build: {error}")


@contextmanager
def telling(
    manager: Manager | None, appliance: str, cloud: str, lease_hours: float, progress: Progress
) -> Iterator[Telling]:
    """Tell of a build for the length of a `with` block; of one that fails, why."""
    told = Telling(manager, f"{appliance}-{secrets.token_hex(3)}", progress.note)
    told.begun(appliance, cloud, lease_hours)
    progress.told = told.step
    try:
        yield told
    except BaseException as error:
        reason = progress.shown(str(error))[-_REASON:] or type(error).__name__
        told.ended("failed", reason=reason)
        raise
    finally:
        progress.told = None
