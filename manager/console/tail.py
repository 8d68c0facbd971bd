"""The live tail of a stream: a tap, which is no demand; as events for the stream's page."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from manager.api.paths import Name
from manager.console.live import EVENTS, event
from manager.console.pages import HEADERS, fragment
from manager.console.shown import How
from manager.console.visitor import Here, Person
from manager.errors import ConflictError
from manager.tap import Tap
from streams.errors import BrokerError
from streams.message import Message

router = APIRouter(prefix="/streams")
#: Looks at once, of all people together; how often each takes what came.
_MOST_TAPS = 20
_LOOK_S, _BREATH_S = 0.3, 2.0
#: So long a tail lasts before the browser asks for it anew, and logs in again.
_WHOLE_S = 120.0
_open = threading.BoundedSemaphore(_MOST_TAPS)


@router.get("/{name}/tail/")
async def tail(
    here: Here, _: Person, name: Name, how: Annotated[How, Query(alias="as")] = "auto"
) -> StreamingResponse:
    """Show messages as they come."""
    await asyncio.to_thread(here.services.store.get_stream, name)
    if not _open.acquire(blocking=False):
        raise ConflictError(f"{_MOST_TAPS} tails are open: close one of them first")
    told = _tail(here.services.runtime.broker.tap(name), how)
    return StreamingResponse(told, media_type=EVENTS, headers=HEADERS)


def _rows(messages: Sequence[Message], how: How) -> str:
    return fragment("tail", messages=messages, how=how, at=datetime.now(UTC))


async def _tail(tap: Tap, how: How) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    began_s = said_s = loop.time()
    begun = False
    try:
        while loop.time() - began_s < _WHOLE_S:
            try:
                messages, sampled = await asyncio.to_thread(tap.take)
                if not begun:
                    begun = True
                    yield event("begun", {})
            except BrokerError as error:
                yield event("away", str(error))
                messages, sampled, begun = [], False, False
                await asyncio.sleep(_BREATH_S)
            if messages:
                rows = await asyncio.to_thread(_rows, messages, how)
                yield event("messages", {"rows": rows, "sampled": sampled})
            if messages or loop.time() - said_s >= _BREATH_S:
                said_s = loop.time()
                yield event("breath", {})
            await asyncio.sleep(_LOOK_S)
    finally:
        _open.release()
        loop.run_in_executor(None, tap.close)
