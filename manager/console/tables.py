"""What tables have in common: a search, an order, and pages; all of it in the address."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query

T = TypeVar("T")
PAGE_ROWS = 25


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows: those with a text, in an order (`-rate`: downwards), a page from 1."""

    find: str = ""
    order: str = ""
    page: int = 1

    def at(self, **changes: Any) -> str:
        """Return the query of the same table asked differently."""
        values = {"find": self.find, "order": self.order, "page": self.page, **changes}
        defaults = {"find": "", "order": "", "page": 1}
        return "?" + urlencode({k: v for k, v in values.items() if v != defaults[k]})

    def turned(self, column: str) -> str:
        """Return the query for the order of a column; a second time it is the other way round."""
        return self.at(order=f"-{column}" if self.order == column else column, page=1)

    def direction(self, column: str) -> str:
        """Return how a column is sorted, as screen readers say it."""
        directions = {column: "ascending", f"-{column}": "descending"}
        return directions.get(self.order, "none")


def _asked(
    find: Annotated[str, Query(max_length=100)] = "",
    order: Annotated[str, Query(max_length=30)] = "",
    page: Annotated[int, Query(ge=1, le=10**6)] = 1,
) -> Asked:
    return Asked(find, order, page)


AskedTable = Annotated[Asked, Depends(_asked)]


@dataclass(frozen=True, slots=True)
class Rows(Generic[T]):
    """One page of a table."""

    items: Sequence[T]
    total: int
    pages: int
    asked: Asked


def rows(
    things: Iterable[T],
    asked: Asked,
    *,
    text: Callable[[T], str],
    orders: Mapping[str, Callable[[T], Any]],
) -> Rows[T]:
    """Return the page that is asked for. What is unknown comes last. Pure."""
    wanted = asked.find.casefold()
    found = [thing for thing in things if wanted in text(thing).casefold()]
    column = asked.order.removeprefix("-")
    if column in orders:
        of = orders[column]
        known = [thing for thing in found if of(thing) is not None]
        known.sort(key=of, reverse=asked.order.startswith("-"))
        found = known + [thing for thing in found if of(thing) is None]
    start = (asked.page - 1) * PAGE_ROWS
    pages = max(1, -(-len(found) // PAGE_ROWS))
    return Rows(found[start : start + PAGE_ROWS], len(found), pages, asked)
