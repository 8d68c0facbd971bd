"""Whether what came out is what was promised. Pure: a list of what isn't, empty if all is."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from tests.chaos.schedule import Schedule
from tests.traffic import Came, body

#: Each fault may make a batch of messages, and then another, come after later ones.
_DESCENTS_A_FAULT = 4
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Journal:
    """What was seen from outside; times by the monotonic clock."""

    prefix: str
    published_s: Mapping[int, float]
    confirmed_s: Mapping[int, float]
    outputs: Sequence[Came]
    #: bodies in the archive of the first stream
    archived: Sequence[bytes]
    #: the reason of each dead letter
    dead: Sequence[str]
    #: the first message of the last wave, published when nothing went wrong any more
    calm: int
    #: when each fault was over
    mended_s: Sequence[float]

    @property
    def again(self) -> int:
        """How many outputs came again."""
        return len(self.outputs) - len({came.body for came in self.outputs})

    @property
    def recovered_s(self) -> list[float]:
        """For each fault, how long after its end something came out that was published then."""
        took = []
        for mended_s in self.mended_s:
            since = {
                body(n, self.prefix) for n, at_s in self.published_s.items() if at_s > mended_s
            }
            came = [c.at_s for c in self.outputs if c.body in since]
            if came:
                took.append(min(came) - mended_s)
        return took


def problems(schedule: Schedule, journal: Journal) -> list[str]:
    """Return every broken promise."""
    expected = [body(number, journal.prefix) for number in sorted(journal.published_s)]
    confirmed = [body(number, journal.prefix) for number in journal.confirmed_s]
    came = Counter(c.body for c in journal.outputs)
    found = [
        *_told("lost", set(confirmed) - set(came)),
        *_told("not in the archive", set(confirmed) - set(journal.archived)),
        *_told("never published, but there", set(came) - set(expected)),
        *_told("dead letters", [f"dead: {reason}" for reason in journal.dead]),
        *_ids(schedule, journal),
        *_order(schedule, journal),
    ]
    if schedule.once:
        found += _told("came again", [body for body, times in came.items() if times > 1])
    return found


def _ids(schedule: Schedule, journal: Journal) -> list[str]:
    """What came twice has the same id, where the chain keeps ids at all."""
    if not schedule.keeps_ids:
        return []
    ids = {(c.body, c.message_id) for c in journal.outputs}
    named = {
        (c.body, f"{journal.prefix}id-{c.body.decode().rpartition('N')[2]}")
        for c in journal.outputs
    }
    return _told("another id", [f"{body!r}: {message_id}" for body, message_id in ids - named])


def _order(schedule: Schedule, journal: Journal) -> list[str]:
    """What is given back after a fault may come late; else order holds, and when all is calm."""
    if not all(stage.in_order for stage in schedule.stages):
        return []
    numbers = [_number(c.body) for c in _firsts(journal.outputs)]
    descents = _descents(numbers)
    calm = [number for number in numbers if number >= journal.calm]
    bound = 0 if schedule.in_order else _DESCENTS_A_FAULT * len(schedule.faults)
    found = []
    if len(descents) > bound:
        found.append(f"out of order, {len(descents)} times: {descents[:_SHOWN]}")
    if _descents(calm):
        found.append(f"out of order without any fault: {calm}")
    return found


def _firsts(outputs: Iterable[Came]) -> list[Came]:
    firsts: dict[bytes, Came] = {}
    for came in outputs:
        firsts.setdefault(came.body, came)
    return list(firsts.values())


def _descents(numbers: Sequence[int]) -> list[tuple[int, int]]:
    return [(before, after) for before, after in pairwise(numbers) if after < before]


def _number(came: bytes) -> int:
    return int(came.rpartition(b"N")[2])


def _told(what: str, items: Iterable[object]) -> list[str]:
    shown = sorted(str(item) for item in items)
    return [f"{what}, {len(shown)}: {', '.join(shown[:_SHOWN])}"] if shown else []


@dataclass
class Figures:
    """What all seeds together saw."""

    seeds: int = 0
    failed: int = 0
    kills: int = 0
    stops: int = 0
    cuts: int = 0
    messages: int = 0
    lost: int = 0
    again: int = 0
    dead: int = 0
    recovered_s: list[float] = field(default_factory=list)

    def add(self, schedule: Schedule, journal: Journal) -> None:
        """Count a seed in."""
        deeds = Counter(fault.deed for fault in schedule.faults)
        came = {c.body for c in journal.outputs}
        self.seeds += 1
        self.kills += deeds["kill"]
        self.stops += deeds["stop"]
        self.cuts += deeds["cut"]
        self.messages += len(journal.confirmed_s)
        self.lost += sum(body(n, journal.prefix) not in came for n in journal.confirmed_s)
        self.again += journal.again
        self.dead += len(journal.dead)
        self.recovered_s += journal.recovered_s

    def __str__(self) -> str:
        took = self.recovered_s or [0.0]
        return (
            f"{self.seeds} seeds, {self.failed} failed: {self.kills} kills, {self.stops} stops,"
            f" {self.cuts} cuts; {self.messages} messages, {self.lost} lost, {self.again} came"
            f" again, {self.dead} dead letters; recovered within {median(took):.1f} s (median),"
            f" {max(took):.1f} s (worst)"
        )
