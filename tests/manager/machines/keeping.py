"""A keeper on a cloud, as tests and their child processes make it; it may die at any step.

As a child: `python -m tests.manager.machines.keeping FOLDER STEP MOMENT`, settings in the
environment. It leads one machine through its life; SIGKILL comes before or after that step.
"""

import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from manager.broker import ManagerBroker
from manager.machines.cloud_keeper import Interest
from manager.machines.ground import Desk
from manager.machines.keeper import Keeper
from manager.machines.model import Decisions, Ending, Launch, MachineRecord, Offer, Phase, Seen
from manager.store import Store
from provision import inventory
from provision.cloud import Cloud
from provision.entries import Ec2Entry
from streams.settings import Settings
from tests.eventually import eventually

#: What changes something in a machine's life: whose method, which call of it.
STEPS: tuple[tuple[type, str, int], ...] = (
    (Store, "decide_machines", 1),
    (ManagerBroker, "add_node", 1),
    (Cloud, "launch", 1),
    (Store, "note_launched", 1),
    (Store, "decide_machines", 2),
    (Store, "decide_machines", 3),
    (Cloud, "terminate", 1),
    (ManagerBroker, "remove_node", 1),
    (Store, "note_ended", 1),
)
SECRETS = {"STREAMBOSS_SECRET_MOTO_KEY": "k", "STREAMBOSS_SECRET_MOTO_SECRET": "s"}
WITHIN_S = 60.0


def write_inventory(folder: Path, port: int) -> None:
    """Write an inventory with one cloud: moto, behind a front."""
    (folder / "inventory").mkdir()
    (folder / "inventory" / "clouds.yaml").write_text(f"""
defaults: {{cloud: moto, owner: tests}}
clouds:
  moto:
    kind: ec2
    host: 127.0.0.1
    port: {port}
    secure: false
    services_host: 127.0.0.1
    credentials: moto
    sizes: {{small: t3.small}}
    prices: {{small: 0.5}}
    limits: {{machines: 8, calls_per_s: 1000}}
""")
    (folder / ".streamboss").mkdir(mode=0o700)


def quick() -> None:
    """Let EC2 list at once what it has."""
    Ec2Entry.grace_s, Ec2Entry.interval_s = 0.5, 0.05


class Kept:
    """A leading manager's keeper, with a store and a broker."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        work = Desk(inventory.load(folder / "inventory"), SECRETS, folder)
        self.store = Store(f"sqlite:///{folder}/manager.db")
        self.broker = ManagerBroker(settings, lambda _key, _raw: None)
        self.gone: list[str] = []
        self.keeper = Keeper(
            work,
            self.store,
            self.broker,
            poke=threading.Event().set,
            forget=self.gone.append,
        )
        self.term = self.store.lease_take(secrets.token_hex(4)) or 0
        self.broker.start()

    def look(self, made: Decisions | None = None) -> Seen:
        """Look once, as the manager's loop does, and decide what the test wants."""
        seen = self.keeper.see(listening_s=100)
        self.keeper.tend(seen, self.term, Interest(known=True, waiting=True))
        if made is not None:
            self.keeper.decide(made, seen, self.term)
        return seen

    def until(self, holds: Callable[[Seen], object], what: str) -> Seen:
        """Look until something holds; return what was seen then."""
        last: list[Seen] = []

        def probe() -> bool:
            last.append(self.look())
            return bool(holds(last[-1]))

        eventually(probe, within_s=WITHIN_S, what=what)
        return last[-1]

    def offer(self) -> Offer:
        """Return what the cloud offers, when it does."""
        return self.until(lambda seen: seen.offers, "the cloud offers something").offers[0]

    def launched(self) -> MachineRecord:
        """Have a machine launched."""
        self.look(Decisions(launches=(Launch(self.offer(), "a test wants it"),)))
        return self.until(
            lambda seen: seen.machines and seen.machines[0].handle, "a machine is launched"
        ).machines[0]

    def end_all(self) -> None:
        """End all machines that there are records of."""
        ends = tuple(Ending(m.node, "the test is over") for m in self.look().machines)
        self.look(Decisions(ends=ends))
        self.until(lambda seen: not seen.machines, "all machines have ended")

    def settled(self) -> Seen:
        """Return what is seen when nothing is on its way any more."""
        moving = {Phase.LAUNCHING, Phase.ENDING}
        return self.until(
            lambda seen: not [m for m in seen.machines if m.phase in moving],
            "every record has its machine",
        )

    def is_quiet(self) -> bool:
        """Say whether nothing is being done for a machine."""
        clouds = (self.keeper._clouds or {}).values()
        return not any(cloud._hands.busy() - {"look"} for cloud in clouds)

    def stop(self) -> None:
        """End as a manager does."""
        self.keeper.stop()
        self.broker.stop()
        self.store.close()


def _die(owner: type, name: str, number: int, moment: str) -> None:
    """Kill this process before or after that call of a method."""
    plain, calls = getattr(owner, name), list[None]()

    def call(*args: Any, **options: Any) -> Any:
        calls.append(None)
        if len(calls) == number and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = plain(*args, **options)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(owner, name, call)


def _live(folder: Path, step: int, moment: str) -> None:
    """Lead one machine through its life, unless death comes."""
    quick()
    owner, name, number = STEPS[step]
    _die(owner, name, number, moment)
    kept = Kept(Settings.load(os.environ, folder), folder)
    node = kept.launched().node
    kept.look(Decisions(ready=(node,)))
    kept.end_all()
    kept.stop()


if __name__ == "__main__":
    _live(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
