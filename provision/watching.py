"""Waiting until machines and images are as wanted: one list call for all, and no false hope."""

import time
from functools import partial

from provision.account import Account
from provision.errors import Kind, MachineFailedError, ProvisionError
from provision.machine import Image, Machine, State
from provision.waiting import wait_until

#: A machine in one of these will never run by itself.
_HOPELESS = frozenset({State.FAILED, State.TERMINATED, State.STOPPED, State.STOPPING})
_NO_ADDRESS = (None, "", "0.0.0.0")  # noqa: S104 what private clouds show before there is one
#: How long ends may take.
_END_S = 300.0


class Watch:
    """Watches one account's machines and images.

    Args:
        account: what the cloud shows us.
        grace_s: for how long a cloud may not yet list what it has just created.
        interval_s: between two looks.
    """

    def __init__(self, account: Account, *, grace_s: float, interval_s: float) -> None:
        self._account, self._grace_s, self._interval_s = account, grace_s, interval_s

    def ready(self, machine: Machine, timeout_s: float) -> Machine:
        """Return `machine` once it runs and has an address.

        Raises:
            MachineFailedError: it never will.
            WaitTimeoutError: not in time.
        """
        return wait_until(
            partial(self._ready, machine, time.monotonic() + self._grace_s),
            what=f"{machine.cloud}: {machine.name} ({machine.id}) running",
            timeout_s=timeout_s,
            interval_s=self._interval_s,
        )

    def stopped(self, machine: Machine) -> None:
        """Return once `machine` has stopped, or ended."""
        ended = (State.STOPPED, State.TERMINATED)
        wait_until(
            lambda: True if self._state(machine) in ended else None,
            what=f"{machine.cloud}: {machine.name} ({machine.id}) stopped",
            timeout_s=_END_S,
            interval_s=self._interval_s,
        )

    def gone(self, machine: Machine) -> None:
        """Return once the cloud shows `machine` as ended, or twice in a row not at all."""
        absent = 0

        def probe() -> bool | None:
            nonlocal absent
            state = self._state(machine)
            absent = absent + 1 if state is None else 0
            return True if state is State.TERMINATED or absent > 1 else None

        wait_until(
            probe,
            what=f"{machine.cloud}: {machine.name} ({machine.id}) terminated",
            timeout_s=_END_S,
            interval_s=self._interval_s,
        )

    def available(self, image: Image, timeout_s: float = 3600) -> Image:
        """Return `image` once machines can be launched from it.

        Raises:
            ProvisionError: the cloud failed to make it.
            WaitTimeoutError: not in time; it may still come, and the journal knows it.
        """
        return wait_until(
            partial(self._available, image, time.monotonic() + self._grace_s),
            what=f"{image.cloud}: image {image.name} ({image.id}) available",
            timeout_s=timeout_s,
            interval_s=self._interval_s,
        )

    def image_gone(self, image_id: str) -> None:
        """Return once no image of this id can be launched from: "deleted" alone is no proof."""

        def probe() -> bool | None:
            there = [i for i in self._account.images() if i.id == image_id and i.available]
            return None if there else True

        wait_until(
            probe,
            what=f"{self._account.name}: image {image_id} deleted",
            timeout_s=_END_S,
            interval_s=self._interval_s,
        )

    def _ready(self, machine: Machine, lost_at: float) -> Machine | None:
        found = self._find(machine)
        label = f"{machine.cloud}: {machine.name} ({machine.id})"
        if found is None:
            if time.monotonic() < lost_at:
                return None  # clouds list new machines late
            raise MachineFailedError(f"{label} has disappeared", Kind.GONE)
        if found.state in _HOPELESS:
            raise MachineFailedError(f"{label} is {found.state} instead of running")
        return found if found.state is State.RUNNING and found.host not in _NO_ADDRESS else None

    def _available(self, image: Image, lost_at: float) -> Image | None:
        found = next((i for i in self._account.images() if i.id == image.id), None)
        label = f"{image.cloud}: image {image.name} ({image.id})"
        if found is None and time.monotonic() > lost_at:
            raise ProvisionError(f"{label} has disappeared", Kind.GONE)
        if found is not None and found.failed:
            raise ProvisionError(f"{label}: the cloud failed to make it")
        return found if found is not None and found.available else None

    def _find(self, machine: Machine) -> Machine | None:
        return next((m for m in self._account.machines() if m.id == machine.id), None)

    def _state(self, machine: Machine) -> State | None:
        found = self._find(machine)
        return found.state if found else None
