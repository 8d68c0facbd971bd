"""Server-sent events: that something changed, so that pages fetch what they show anew."""

import asyncio
import json
from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from manager.console.feed import Feed, numbers_of
from manager.console.pages import HEADERS
from manager.console.visitor import Here, Person

router = APIRouter()
EVENTS = "text/event-stream"
#: How often is looked, and something is said; after so long the browser logs in anew.
_LOOK_S, _SAY_S, _WHOLE_S = 0.5, 1.0, 60.0


@router.get("/live/")
async def live(here: Here, _: Person) -> StreamingResponse:
    """Tell of each new picture, and each second that there is somebody to tell."""
    return StreamingResponse(_pictures(here.feed), media_type=EVENTS, headers=HEADERS)


def event(kind: str, data: object) -> str:
    """Return one event; whatever text is in it stays on its line. Who loses it comes back soon."""
    return f"retry: 500\nevent: {kind}\ndata: {json.dumps(data)}\n\n"


async def _pictures(feed: Feed) -> AsyncIterator[str]:
    began_s = said_s = asyncio.get_running_loop().time()
    last: object = None
    while (now_s := asyncio.get_running_loop().time()) - began_s < _WHOLE_S:
        told = await asyncio.to_thread(numbers_of, feed)
        if told != last or now_s - said_s >= _SAY_S:
            last, said_s = told, now_s
            yield event("look", told)
        await asyncio.sleep(_LOOK_S)
