"""What endangers messages though the manager does its work, as looked up now and then."""

import structlog

from manager.board import Clock
from manager.broker import ManagerBroker

log = structlog.get_logger()
#: An alarm is soon told: publishers wait while it lasts.
_ALARMS_S = 5.0


class Notes:
    """Written by one thread; read by any."""

    def __init__(self, broker: ManagerBroker) -> None:
        self._broker = broker
        self._alarms_clock, self._misfits_clock = Clock(), Clock()
        self._alarms, self._misfits = list[str](), list[str]()

    def lines(self) -> list[str]:
        """Return the notes, a line each."""
        return [*self._misfits, *self._alarms]

    def look(self, misfits_s: float) -> None:
        """Look again for what is due; for misfits after so many seconds.

        Raises:
            BrokerError: the management API doesn't answer; the old notes stay.
        """
        before = set(self.lines())
        if self._alarms_clock.due(_ALARMS_S):
            self._alarms = self._broker.alarms()
        if self._misfits_clock.due(misfits_s):
            self._misfits = self._broker.misfits()
        for note in set(self.lines()) - before:
            log.warning("note", note=note)
