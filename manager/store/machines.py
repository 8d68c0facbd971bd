"""Machines in the store: what was decided of each, before it is done; breakers; what was warned of.

The leader decides, workers tell what became of it. Each writes only what is its own, so neither
undoes the other's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import delete, false, or_, select
from sqlalchemy.orm import Session

from manager.errors import NotFoundError
from manager.machines.model import Breaker, Decisions, Ending, MachineRecord, Phase
from manager.store.database import Database
from manager.store.tables import BreakerRow, LeaseRow, LeaseWarningRow, MachineRow, NodeRow

_LENGTH = 1000
_CONSOLE_LENGTH = 4000
#: From which phase a machine may come to another one by a decision.
_BEFORE = {
    Phase.READY: frozenset({Phase.LAUNCHING, Phase.BOOTING}),
    Phase.DRAINING: frozenset({Phase.LAUNCHING, Phase.BOOTING, Phase.READY}),
    Phase.ENDING: frozenset({Phase.LAUNCHING, Phase.BOOTING, Phase.READY, Phase.DRAINING}),
}


class MachineQueries(Database):
    """Machines are seen by everybody."""

    def manager_id(self) -> str:
        """Return what stands for this database on the clouds, 16 hex digits."""
        with self._reading() as session:
            return session.get_one(LeaseRow, 1).manager

    def machines(self, *, ended_since: datetime | None = None) -> list[MachineRecord]:
        """Return the machines that haven't ended, and those that have since then, the oldest first.

        None: without those that have ended.
        """
        query = select(MachineRow).order_by(MachineRow.launched_at, MachineRow.node)
        lately = false() if ended_since is None else MachineRow.ended_at >= ended_since
        query = query.where(or_(MachineRow.ended_at.is_(None), lately))
        with self._reading() as session:
            return [_to_machine(row) for row in session.scalars(query)]

    def find_machine(self, node: str) -> MachineRecord | None:
        """Return a machine that hasn't ended, or None."""
        with self._reading() as session:
            row = session.get(MachineRow, node)
            return None if row is None or row.ended_at is not None else _to_machine(row)

    def get_machine(self, node: str) -> MachineRecord:
        """Return a machine that hasn't ended."""
        found = self.find_machine(node)
        if found is None:
            raise _unknown(node)
        return found

    def breakers(self) -> dict[tuple[str, str], Breaker]:
        """Return the breakers by cloud and image."""
        with self._reading() as session:
            rows = session.scalars(select(BreakerRow))
            return {(r.cloud, r.image): Breaker(r.image, r.failed_boots, r.console) for r in rows}

    def forget_breakers(self, application: str) -> None:
        """Let the images of an application be tried again."""
        with self._writing() as session:
            session.execute(delete(BreakerRow).where(BreakerRow.application == application))

    # ---- for the leader

    def decide_machines(
        self, made: Decisions, launches: Iterable[MachineRecord], *, term: int, now: datetime
    ) -> bool:
        """Keep what was decided, all or nothing; False if somebody else leads by now.

        `launches`: the records of what is to be launched; each is a node, too.
        """
        with self._writing() as session:
            if session.get_one(LeaseRow, 1, with_for_update=True).term != term:
                return False
            for record in launches:
                session.add(MachineRow(**_values(record)))
                offers = [record.application]
                session.add(
                    NodeRow(name=record.node, owner="", added_at=record.launched_at, offers=offers)
                )
            for node in made.ready:
                _make_ready(session, node, now)
            for node, since in made.idle.items():
                if row := session.get(MachineRow, node):
                    row.idle_since = since
            _move(session, made.drains, Phase.DRAINING, now)
            for ending in _move(session, made.ends, Phase.ENDING, now):
                if ending.boot_failed:
                    _count_failed_boot(session, ending.node)
            return True

    def end_machine(self, node: str, why: str, now: datetime, *, at_once: bool) -> None:
        """Have a machine drained and then ended, or ended at once, because a person wants it so."""
        with self._writing() as session:
            _row(session, node)
            to = Phase.ENDING if at_once else Phase.DRAINING
            _move(session, [Ending(node, why)], to, now)

    def restart_idle(self, node: str, now: datetime) -> None:
        """Let the idle time of a machine begin anew, if it is idle."""
        with self._writing() as session:
            row = _row(session, node)
            row.idle_since = now if row.idle_since else None

    def prune_machines(self, before: datetime) -> None:
        """Forget machines, and warnings, that ended before."""
        with self._writing() as session:
            session.execute(delete(MachineRow).where(MachineRow.ended_at < before))
            session.execute(delete(LeaseWarningRow).where(LeaseWarningRow.ends_at < before))

    # ---- for who works on clouds

    def note_launched(self, node: str, handle: str, now: datetime) -> bool:
        """Keep a machine's handle; False: its record has ended, nobody wants it any more."""
        with self._writing() as session:
            row = session.get(MachineRow, node, with_for_update=True)
            if row is None or row.phase == Phase.ENDED:
                return False
            row.handle = handle
            if row.phase == Phase.LAUNCHING:
                row.phase, row.phase_at = Phase.BOOTING.value, now
            return True

    def note_machine(
        self, node: str, *, broken: str | None = None, ends_at: datetime | None = None
    ) -> None:
        """Keep what is wrong with a machine, or its lease's end, as its cloud tells it."""
        with self._writing() as session:
            row = session.get(MachineRow, node, with_for_update=True)
            if row is not None:
                row.broken = row.broken if broken is None else broken[:_LENGTH]
                row.ends_at = ends_at or row.ends_at

    def note_console(self, node: str, console: str) -> None:
        """Keep the last words of a machine that failed to boot, for people to see why."""
        with self._writing() as session:
            row = session.get(MachineRow, node)
            breaker = row and session.get(BreakerRow, (row.cloud, row.image), with_for_update=True)
            if breaker:
                breaker.console = console[-_CONSOLE_LENGTH:]

    def note_ended(self, node: str, now: datetime) -> None:
        """Keep that a machine is gone for sure; its node goes, too."""
        with self._writing() as session:
            row = session.get(MachineRow, node, with_for_update=True)
            if row is not None and row.ended_at is None:
                row.phase, row.phase_at, row.ended_at = Phase.ENDED.value, now, now
            session.execute(delete(NodeRow).where(NodeRow.name == node))

    def take_warning(self, cloud: str, handle: str, hours: int, ends_at: datetime) -> bool:
        """Say whether to warn that a machine's lease ends within `hours`: once of each end."""
        with self._writing() as session:
            row = session.get(LeaseWarningRow, (cloud, handle, hours), with_for_update=True)
            if row is not None and row.ends_at == ends_at:
                return False
            session.merge(LeaseWarningRow(cloud=cloud, handle=handle, hours=hours, ends_at=ends_at))
            return True


def _values(record: MachineRecord) -> Mapping[str, Any]:
    values = {field.name: getattr(record, field.name) for field in fields(MachineRecord)}
    return {**values, "phase": record.phase.value, "why": record.why[:_LENGTH]}


def _to_machine(row: MachineRow) -> MachineRecord:
    values = {field.name: getattr(row, field.name) for field in fields(MachineRecord)}
    return MachineRecord(**{**values, "phase": Phase(row.phase)})


def _move(session: Session, moved: Sequence[Ending], to: Phase, now: datetime) -> Iterable[Ending]:
    """Bring machines to a phase; return those that weren't there or further already."""
    done = list[Ending]()
    for ending in moved:
        row = session.get(MachineRow, ending.node, with_for_update=True)
        if row is not None and Phase(row.phase) in _BEFORE[to]:
            row.phase, row.phase_at, row.why = to.value, now, ending.why[:_LENGTH]
            done.append(ending)
    return done


def _make_ready(session: Session, node: str, now: datetime) -> None:
    row = session.get(MachineRow, node, with_for_update=True)
    if row is None or Phase(row.phase) not in _BEFORE[Phase.READY]:
        return
    row.phase, row.phase_at, row.ready_at = Phase.READY.value, now, now
    if breaker := session.get(BreakerRow, (row.cloud, row.image), with_for_update=True):
        session.delete(breaker)


def _count_failed_boot(session: Session, node: str) -> None:
    row = session.get_one(MachineRow, node)
    breaker = session.get(BreakerRow, (row.cloud, row.image), with_for_update=True)
    if breaker is None:
        breaker = BreakerRow(
            cloud=row.cloud, image=row.image, application=row.application, failed_boots=0
        )
        session.add(breaker)
    breaker.failed_boots += 1
    session.flush()


def _row(session: Session, node: str) -> MachineRow:
    row = session.get(MachineRow, node, with_for_update=True)
    if row is None or row.ended_at is not None:
        raise _unknown(node)
    return row


def _unknown(node: str) -> NotFoundError:
    return NotFoundError(f"node {node!r} is no machine that the manager launched")
