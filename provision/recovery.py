"""After a crash: what became of every call that was begun is asked of the cloud, and settled."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from provision.attempts import Attempt, Status, Thing
from provision.cloud import Cloud
from provision.errors import ProvisionError
from provision.machine import ATTEMPT, ROLE, Image, Machine, Role, State

log = logging.getLogger(__name__)


class Step(StrEnum):
    """What to do about one attempt of a run that is over."""

    LEAVE = "leave"  # it is explained
    ADOPT = "adopt"  # it exists, and is wanted: the journal hears of it
    REMOVE = "remove"  # it exists, and nobody wants it any more
    FINISH = "finish"  # its removal was cut off
    WAIT = "wait"  # the cloud may not show it yet
    CLOSE = "close"  # it never was, or is gone


@dataclass(frozen=True, slots=True)
class Found:
    """What a cloud shows of ours at one moment: machines that haven't ended, images, names."""

    machines: Sequence[Machine]
    images: Sequence[Image]
    names: frozenset[str] = frozenset()  # of key pairs and security groups


@dataclass(frozen=True, slots=True)
class Decision:
    """One attempt, what to do about it and why. `thing`: what the cloud shows of it."""

    step: Step
    attempt: Attempt
    reason: str
    thing: Machine | Image | None = None


def plan(
    attempts: Iterable[Attempt], found: Found, *, now: datetime, grace_s: float
) -> list[Decision]:
    """Decide about attempts of runs that are over. Decides only; touches nothing."""
    over = [attempt for attempt in attempts if not attempt.live]

    def hidden(attempt: Attempt) -> bool:
        return (now - attempt.at).total_seconds() < grace_s

    images = [_image(a, found, hidden=hidden(a)) for a in over if a.thing is Thing.IMAGE]
    making = {decision.attempt.run for decision in images if _is_made(decision)}
    decisions = list(images)
    for attempt in over:
        if attempt.thing is Thing.MACHINE:
            feeds = attempt.run in making
            decisions += _machine(attempt, found, hidden=hidden(attempt), feeds=feeds)
        elif attempt.thing is not Thing.IMAGE:
            decisions.append(_name(attempt, found, hidden=hidden(attempt)))
    return decisions


def recover(cloud: Cloud, say: Callable[[str], None] = log.info) -> list[Decision]:
    """Settle what runs that are over left behind on `cloud`; return what was decided.

    It may be killed at any moment and done again. Takes a grace period at most, if something was
    begun just before; without anything open it asks nothing of the cloud.

    Raises:
        ProvisionError: the cloud doesn't answer, or something could not be settled; the rest is.
    """
    decisions = _when_shown(cloud, say)
    closing = {d.attempt.id for d in decisions if d.step is Step.CLOSE}
    if closing:  # a cloud may leave a machine out of one listing: gone is what two don't show
        time.sleep(cloud.interval_s)
        decisions = decide(cloud)
    troubles = list[str]()
    for decision in decisions:
        if decision.step is Step.CLOSE and decision.attempt.id not in closing:
            continue
        try:
            _apply(cloud, decision, say)
        except ProvisionError as error:
            troubles.append(str(error))
    cloud.journal.tidy()
    if troubles:
        raise ProvisionError("; ".join(troubles))
    return decisions


def _when_shown(cloud: Cloud, say: Callable[[str], None]) -> list[Decision]:
    """Return decisions at a time when the cloud should show all that was begun."""
    deadline = time.monotonic() + cloud.grace_s + 30
    decisions = decide(cloud)
    waiting = [d.attempt.name for d in decisions if d.step is Step.WAIT]
    if waiting:
        say(
            f"{cloud.name}: a command was cut off at {', '.join(waiting)}; waiting up to"
            f" {cloud.grace_s:g} s until the cloud must show what became of it"
        )
    while any(d.step is Step.WAIT for d in decisions) and time.monotonic() < deadline:
        time.sleep(cloud.interval_s)
        decisions = decide(cloud)
    return decisions


def decide(cloud: Cloud) -> list[Decision]:
    """Return what `recover` would do now."""
    attempts = [a for a in cloud.journal.attempts().values() if a.cloud == cloud.name]
    if not any(not attempt.live for attempt in attempts):
        return []
    things = {attempt.thing for attempt in attempts}
    account = cloud.account
    grace_s = float("inf") if account.busy() else cloud.grace_s  # asked before the listing
    found = Found(
        machines=cloud.machines(),
        images=[i for i in account.images() if account.ours(i)] if Thing.IMAGE in things else [],
        names=frozenset(account.key_pairs() + account.groups())
        if things & {Thing.KEY, Thing.GROUP}
        else frozenset(),
    )
    return plan(attempts, found, now=datetime.now(UTC), grace_s=grace_s)


def _is_made(decision: Decision) -> bool:
    """Say whether an image is, or may be, in the making: its machine must not end yet."""
    image = decision.thing
    pending = isinstance(image, Image) and not image.available and not image.failed
    return decision.step is Step.WAIT or pending


def _machine(attempt: Attempt, found: Found, *, hidden: bool, feeds: bool) -> list[Decision]:
    there = [m for m in found.machines if m.tags.get(ATTEMPT) == attempt.id]
    there = [m for m in there if m.state is not State.TERMINATED]
    there.sort(key=lambda m: m.id)
    if not there:
        return [_absent(attempt, hidden=hidden)]
    doubles = [
        Decision(Step.REMOVE, attempt, "one launch made it twice", double) for double in there[1:]
    ]
    return [*doubles, _present(attempt, there[0], feeds=feeds)]


def _present(attempt: Attempt, machine: Machine, *, feeds: bool) -> Decision:
    wanted = attempt.kept or attempt.tags.get(ROLE, "") in {Role.FLEET, Role.MANAGER}
    if wanted and attempt.status is Status.DONE:
        return Decision(Step.LEAVE, attempt, "wanted", machine)
    if wanted:
        return Decision(Step.ADOPT, attempt, "its launch was cut off; it has its lease", machine)
    if feeds:
        return Decision(Step.LEAVE, attempt, "an image is being made of it", machine)
    return Decision(Step.REMOVE, attempt, "the command that launched it is over", machine)


def _image(attempt: Attempt, found: Found, *, hidden: bool) -> Decision:
    there = next((i for i in found.images if i.tags.get(ATTEMPT) == attempt.id), None)
    if attempt.status is Status.REMOVING:
        return Decision(Step.FINISH, attempt, "its removal was cut off", there)
    if there is None:
        return _absent(attempt, hidden=hidden)
    if there.failed:
        return Decision(Step.REMOVE, attempt, "the cloud failed to make it", there)
    if attempt.status is Status.INTENT:
        return Decision(Step.ADOPT, attempt, "its making was cut off, but went on", there)
    return Decision(Step.LEAVE, attempt, "wanted", there)


def _name(attempt: Attempt, found: Found, *, hidden: bool) -> Decision:
    if attempt.name not in found.names:
        return _absent(attempt, hidden=hidden)
    if attempt.status is Status.INTENT:
        return Decision(Step.ADOPT, attempt, "there; collect_garbage removes it when unused")
    return Decision(Step.LEAVE, attempt, "collect_garbage removes it when unused")


def _absent(attempt: Attempt, *, hidden: bool) -> Decision:
    if hidden:
        return Decision(Step.WAIT, attempt, "the cloud may not show it yet")
    came = attempt.status is not Status.INTENT
    return Decision(Step.CLOSE, attempt, "it is gone" if came else "it never came to be")


def _apply(cloud: Cloud, decision: Decision, say: Callable[[str], None]) -> None:
    attempt, thing = decision.attempt, decision.thing
    if decision.step not in {Step.LEAVE, Step.WAIT}:
        say(f"{cloud.name}: {attempt.thing} {attempt.name}: {decision.step}: {decision.reason}")
    match decision.step:
        case Step.ADOPT:
            cloud.journal.done(attempt.id, thing.id if thing else attempt.name)
        case Step.REMOVE if isinstance(thing, Machine):
            cloud.terminate(thing)
        case Step.REMOVE if isinstance(thing, Image):
            cloud.images.delete(thing)
        case Step.FINISH:
            cloud.images.finish_deleting(attempt.id, attempt.thing_id, attempt.parts)
        case Step.CLOSE:
            cloud.journal.undone(attempt.id)
