"""The content of object references, on this machine before a program gets any of it."""

import heapq
import tempfile
from collections.abc import Callable
from contextlib import ExitStack

from agent.operator.fate import Failure, Fate
from agent.operator.health import Health
from agent.operator.intake import Intake, Item
from agent.operator.spool import Spool
from agent.operator.transfers import Transfers
from streams.access import ObjectStore
from streams.errors import (
    ObjectCancelledError,
    ObjectDamagedError,
    ObjectError,
    ObjectLoginError,
    ObjectMissingError,
    ObjectReferenceError,
    ObjectsUnreachableError,
)
from streams.message import OBJECT_REFERENCE
from streams.objects import Objects
from streams.reference import ObjectReference

#: Each download has parallel parts already; a second hides the first's beginning and end.
_AT_ONCE = 2
#: Small objects may be there in greater number than the programs that wait for them.
_MOST_SPOOLS = 64
_SMALL_BYTES = 16 * 1024 * 1024


class Fetching:
    """Fetches ahead, in the order of the inputs: one object for each program and the next one.

    Content is whole and checked before its item is `ready`. Whoever is told so by
    `intake.on_waiting` finds it there. `objection` is called on a thread.
    """

    def __init__(
        self,
        intake: Intake,
        transfers: Transfers,
        fate: Fate,
        health: Health,
        *,
        store: ObjectStore,
        folder: str,
        programs: int,
    ) -> None:
        self._intake = intake
        self._transfers = transfers
        self._fate = fate
        self.health = health
        #: which objects may be fetched
        self.store = store
        self._folder = folder
        self._programs = programs
        #: by tag, so that the first in line comes first, also after a failure
        self._ahead: list[tuple[int, Item]] = []
        #: those that have or will have a file, until they are through, and their sizes
        self._places: dict[int, int] = {}
        self._under_way = 0
        #: says why content can't be given to the program, or None
        self.objection: Callable[[Spool], str | None] = lambda _spool: None
        #: called with an input that went to the dead letters
        self.on_buried: Callable[[Item], None] = lambda _item: None
        health.on_try = self.advance

    def read(self, item: Item) -> str | None:
        """Read the reference, if it is one; return why it can't be, or mustn't be followed."""
        if item.properties.content_type == OBJECT_REFERENCE:
            try:
                item.reference = ObjectReference.parse(item.body)
            except ObjectReferenceError as error:
                return str(error)
            item.size, item.ready = item.reference.size or 0, False
            return self.store.objection(item.reference.bucket, item.reference.key)
        return None

    def add(self, item: Item) -> None:
        """Fetch the content of an item when its turn has come."""
        heapq.heappush(self._ahead, (item.tag, item))
        self.advance()

    def release(self, item: Item) -> None:
        """Make room: the item is through."""
        self._places.pop(item.tag, None)
        if item.spool is not None:
            item.spool.close()
        self.advance()

    def advance(self) -> None:
        """Begin what may begin."""
        while self._ahead and self._may_begin(self._ahead[0][1]):
            _, item = heapq.heappop(self._ahead)
            self._begin(item)

    def _may_begin(self, item: Item) -> bool:
        at_once = 1 if self.health.failed else _AT_ONCE
        if self.health.waiting or self._under_way >= at_once:
            return False
        return item.tag in self._places or self._fits(item)

    def _fits(self, item: Item) -> bool:
        places = len(self._places)
        if places <= self._programs:
            return True
        known = item.reference is not None and item.reference.size is not None
        small = sum(self._places.values()) + item.size <= _SMALL_BYTES
        return known and small and places < _MOST_SPOOLS

    def _begin(self, item: Item) -> None:
        self._under_way += 1
        self._places[item.tag] = item.size
        self._transfers.do(
            lambda objects: self._fetch(objects, item),
            lambda fetched: self._fetched(item, *fetched),
            lambda error: self._failed(item, error),
        )

    def _fetch(self, objects: Objects, item: Item) -> tuple[Spool, str | None]:
        """Fetch into a file without a name; on a thread."""
        assert item.reference is not None  # noqa: S101 - others aren't added
        try:
            with ExitStack() as on_failure:
                file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - it stays
                on_failure.callback(file.close)
                objects.fetch_into(item.reference, file, cancelled=self._transfers.cancelled)
                spool = Spool.of(file)
                objection = self.objection(spool)
                on_failure.pop_all()
        except OSError as error:
            raise ObjectsUnreachableError(
                f"{item.reference} can't be kept in {self._folder}: {error.strerror}"
            ) from None
        return spool, objection

    def _fetched(self, item: Item, spool: Spool, objection: str | None) -> None:
        self._under_way -= 1
        self.health.works()
        item.spool, item.ready = spool, True
        item.size = self._places[item.tag] = spool.size
        if objection is not None:
            self._bury(item, Failure(objection))
        self.advance()
        self._intake.on_waiting()

    def _failed(self, item: Item, error: ObjectError) -> None:
        self._under_way -= 1
        failure = Failure(str(error), blamed=False)
        match error:
            case ObjectCancelledError():
                return
            case ObjectsUnreachableError() | ObjectLoginError():
                self.health.broken(str(error))
                heapq.heappush(self._ahead, (item.tag, item))
            case ObjectMissingError() | ObjectDamagedError():
                self.health.works()
                self._bury(item, failure)
            case _:
                self.health.works()
                if not self._fate.failed(item, failure, again=self.add):
                    self._leave_out(item)
        self.advance()

    def _bury(self, item: Item, failure: Failure) -> None:
        self._fate.bury(item, failure)
        self._leave_out(item)

    def _leave_out(self, item: Item) -> None:
        self._intake.waiting.remove(item)
        self.on_buried(item)
        self._intake.on_waiting()
