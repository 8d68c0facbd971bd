"""Lists in pages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

T = TypeVar("T")
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list's items, and how many it has."""

    items: list[T]
    total: int


def paged(
    session: Session,
    query: Select[Row],
    to_value: Callable[[Row], T],
    *,
    limit: int,
    offset: int,
) -> Page[T]:
    """Return one page of `query`, which says the order."""
    counted: Select[Any] = select(func.count()).select_from(query.order_by(None).subquery())
    total = session.execute(counted).scalar_one()
    rows = session.scalars(query.limit(limit).offset(offset))
    return Page([to_value(row) for row in rows], int(total))
