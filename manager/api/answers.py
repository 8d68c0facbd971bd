"""Answers: JSON, lists in pages, and what was created where."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query, Request
from fastapi.responses import JSONResponse

from manager.store import Page

T = TypeVar("T")
Json = dict[str, Any]

MAX_LIMIT = 1000
_DEFAULT_LIMIT = 20
_MAX_OFFSET = 10**12


class Answer(JSONResponse):
    """JSON in ASCII: whatever text came from a broker or a program, it can be sent."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


class Paging:
    """Which part of a list is asked for."""

    def __init__(
        self,
        request: Request,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = _DEFAULT_LIMIT,
        offset: Annotated[int, Query(ge=0, le=_MAX_OFFSET)] = 0,
    ) -> None:
        self._path = request.scope["path"]
        self.limit = limit
        self.offset = offset

    def answer(self, page: Page[T], view: Callable[[T], Json]) -> Answer:
        """Return a page with what leads to its neighbours."""
        following = self.offset + self.limit
        before = max(0, self.offset - self.limit)
        meta = {
            "limit": self.limit,
            "next": self._link(following) if following < page.total else None,
            "offset": self.offset,
            "previous": self._link(before) if self.offset else None,
            "total_count": page.total,
        }
        return Answer({"meta": meta, "objects": [view(item) for item in page.items]})

    def cut(self, items: Sequence[T], view: Callable[[T], Json]) -> Answer:
        """Return a page of a list that is there as a whole."""
        part = list(items[self.offset : self.offset + self.limit])
        return self.answer(Page(part, len(items)), view)

    def _link(self, offset: int) -> str:
        return f"{self._path}?{urlencode({'limit': self.limit, 'offset': offset})}"


Asked = Annotated[Paging, Depends()]


def made(view: Mapping[str, Any], *, created: bool) -> Answer:
    """Answer 201 with the place of what was created, or 200 for what existed already."""
    headers = {"Location": str(view["resource_uri"])}
    return Answer(dict(view), status_code=201 if created else 200, headers=headers)
