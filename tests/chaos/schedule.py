"""What a seed means: which chain of operations, and what befalls whom when. Pure."""

from dataclasses import dataclass
from random import Random
from typing import Any

#: So long messages are published, and things go wrong.
RUN_S = 3.5
#: In so many bursts, so that there is something under way whenever something goes wrong.
BURSTS = 10
_EARLIEST_S, _LATEST_S = 0.2, 3.0
_FEWEST, _MOST = 2, 4
#: A process for each message is slow.
_MORE_OF_A_SERVICE = 20
#: A broker that died takes seconds to come back: not in each seed.
_BROKER = "broker"

#: Who may be killed, stopped for a while, or cut off, and how often in comparison.
_VICTIMS = {
    "program": 4,
    "operator": 4,
    "agent": 3,
    "manager": 3,
    "archiver": 2,
    "database": 2,
    "s3": 2,
}
_LINES = {
    "agent": 4,
    "manager": 2,
    "publisher": 2,
    "consumer": 2,
    "management": 2,
    "s3": 2,
    "database": 2,
}
_WAYS = {"delay": 3, "stall": 3, "reset": 4, "half-open": 1}
_DEEDS = {"kill": 5, "stop": 3, "cut": 4}

#: Whose faults make nobody give a message back: order holds, and nothing comes twice.
_GENTLE = frozenset({"program", "manager", "archiver", "database", "s3", "management"})
_GENTLE_WAYS = frozenset({"delay", "stall"})

Definition = dict[str, Any]
#: The chain's parts. All of them pass on what they get.
STAGES: dict[str, Definition] = {
    "single": {"exec": "cat", "concurrency": 2},
    "single unordered": {"exec": "cat", "concurrency": 3, "order": "none"},
    "one": {"exec": "cat", "process_type": "service", "replies": "one"},
    "any": {"exec": "cat", "process_type": "service", "settle_s": 0.3},
    "any, by line": {"exec": "sed -u s/x/x/", "process_type": "service", "settle_s": 0.3},
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One operation of the chain."""

    kind: str
    instances: int

    @property
    def in_order(self) -> bool:
        """Whether its outputs leave in its inputs' order, while nobody is killed."""
        return self.instances == 1 and self.kind != "single unordered"

    @property
    def keeps_ids(self) -> bool:
        """Whether an output has its input's id."""
        return not self.kind.startswith("any")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong: begun `at_s`, over after `for_s` (a kill: started again).

    `pick` chooses among several victims; `way` is how a line is cut.
    """

    at_s: float
    deed: str
    victim: str
    for_s: float = 0.0
    pick: int = 0
    way: str = ""

    @property
    def is_gentle(self) -> bool:
        """Whether no message is given back because of it."""
        if self.deed == "stop":
            return True
        if self.deed == "cut" and self.way in _GENTLE_WAYS:
            return True
        return self.victim in _GENTLE

    def __str__(self) -> str:
        what = f"{self.deed} {self.victim}{f' ({self.way})' if self.way else ''}"
        return f"{self.at_s:.1f} s: {what}{f' for {self.for_s:.1f} s' if self.for_s else ''}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """All that is random about a run."""

    seed: int
    stages: tuple[Stage, ...]
    messages: int
    faults: tuple[Fault, ...]

    @property
    def in_order(self) -> bool:
        """Whether all outputs have to come in order."""
        return all(s.in_order for s in self.stages) and self._is_gentle

    @property
    def once(self) -> bool:
        """Whether none may come twice.

        Of a killed program what it was fed since it last settled is fed again.
        """
        settling = any(not stage.keeps_ids for stage in self.stages)
        fed_again = any((f.deed, f.victim) == ("kill", "program") for f in self.faults)
        return self._is_gentle and not (settling and fed_again)

    @property
    def _is_gentle(self) -> bool:
        return all(fault.is_gentle for fault in self.faults)

    @property
    def keeps_ids(self) -> bool:
        """Whether the chain's outputs have its inputs' ids."""
        return all(stage.keeps_ids for stage in self.stages)

    def __str__(self) -> str:
        chain = " -> ".join(f"{s.kind} x{s.instances}" for s in self.stages)
        faults = "".join(f"\n  {fault}" for fault in self.faults)
        return f"seed {self.seed}: {self.messages} messages through {chain}{faults}"


def schedule(seed: int) -> Schedule:
    """Return what the seed means; always the same."""
    chance = Random(seed)  # noqa: S311 - no secret
    stages = tuple(
        Stage(chance.choice(sorted(STAGES)), chance.choice((1, 1, 2)))
        for _ in range(chance.choice((1, 2, 2)))
    )
    times = sorted(
        round(chance.uniform(_EARLIEST_S, _LATEST_S), 2)
        for _ in range(chance.randint(_FEWEST, _MOST))
    )
    faults = [_fault(chance, at_s) for at_s in times]
    if chance.random() < 1 / 6:
        faults[0] = Fault(times[0], chance.choice(("kill", "kill", "stop")), _BROKER, 1.0)
    singles = any(stage.kind.startswith("single") for stage in stages)
    messages = chance.randrange(60, 160, 10) * (1 if singles else _MORE_OF_A_SERVICE)
    return Schedule(seed, stages, messages, tuple(faults))


def _fault(chance: Random, at_s: float) -> Fault:
    deed = _chosen(chance, _DEEDS)
    pick, for_s = chance.randrange(100), round(chance.uniform(0.2, 1.5), 1)
    if deed != "cut":
        return Fault(at_s, deed, _chosen(chance, _VICTIMS), for_s if deed == "stop" else 0.0, pick)
    line, way = _chosen(chance, _LINES), _chosen(chance, _WAYS)
    if line == "database" and way == "half-open":
        way = (
            "stall"  # TCP itself notices a server that is gone; to a proxy that is there it is mute
        )
    return Fault(at_s, deed, line, for_s, pick, way)


def _chosen(chance: Random, weights: dict[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]
