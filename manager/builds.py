"""Builds of images, which are done on somebody's desk, as far as it told us of them. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from manager.events import Event

BEGUN, STEP, ENDED = "build.begun", "build.step", "build.ended"


class BuildState(StrEnum):
    """How a build, or one of its steps, is."""

    RUNNING = "running"
    DONE = "done"
    UNCHANGED = "unchanged"  # there was an image of this content already
    FAILED = "failed"
    LOST = "lost"  # its machine's lease is over, and nobody said how it ended


@dataclass(frozen=True, slots=True)
class BuildStep:
    """A step; `duration_s` is None while it runs."""

    title: str
    state: BuildState
    began_at: datetime
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Build:
    """A build; `reason` says why it failed, `told_at` when its desk last said something."""

    name: str
    appliance: str
    cloud: str
    by: str
    begun_at: datetime
    told_at: datetime
    state: BuildState
    steps: Sequence[BuildStep] = ()
    image: str = ""
    reason: str = ""
    ended_at: datetime | None = None

    @property
    def duration_s(self) -> float | None:
        """How long it took, or None while it runs, or where nobody knows."""
        return (self.ended_at - self.begun_at).total_seconds() if self.ended_at else None


def builds_of(events: Iterable[Event], now: datetime) -> list[Build]:
    """Return the builds that began, the newest first, from what was told of them in order."""
    by_name: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        by_name[event.name].append(event)
    builds = [_build(told, now) for told in by_name.values() if told[0].event == BEGUN]
    return sorted(builds, key=lambda build: build.begun_at, reverse=True)


def _build(told: Sequence[Event], now: datetime) -> Build:
    begun, last = told[0], told[-1]
    lease = timedelta(hours=float(begun.fields["lease_hours"]))
    state = BuildState.RUNNING if now <= begun.at + lease else BuildState.LOST
    ended = last if last.event == ENDED else None
    return Build(
        name=begun.name,
        appliance=str(begun.fields["appliance"]),
        cloud=str(begun.fields["cloud"]),
        by=begun.by,
        begun_at=begun.at,
        told_at=last.at,
        state=BuildState(ended.fields["state"]) if ended else state,
        steps=_steps(told, state),
        image=str(ended.fields.get("image") or "") if ended else "",
        reason=str(ended.fields.get("reason") or "") if ended else "",
        ended_at=ended.at if ended else None,
    )


def _steps(told: Sequence[Event], unfinished: BuildState) -> list[BuildStep]:
    """Return the steps in the order in which they began; one may be within another."""
    steps: list[BuildStep] = []
    for event in (event for event in told if event.event == STEP):
        title, state = str(event.fields["step"]), BuildState(event.fields["state"])
        if state is BuildState.RUNNING:
            steps.append(BuildStep(title, unfinished, event.at))
            continue
        for place in range(len(steps) - 1, -1, -1):
            if steps[place].title == title and steps[place].duration_s is None:
                took_s = float(event.fields["duration_s"] or 0.0)
                steps[place] = BuildStep(title, state, steps[place].began_at, took_s)
                break
    return steps
