"""Where machines come from: clouds, images, and the builds of images."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import Response

from manager import sights
from manager.actions.builds import find_build
from manager.api.paths import Name
from manager.builds import BEGUN, builds_of
from manager.console.pages import page
from manager.console.tables import PAGE_ROWS, Asked, AskedTable, Rows, rows
from manager.console.visitor import Here, Person
from manager.store import Asked as AskedEvents

router = APIRouter()
_ORDERS = {
    "name": lambda i: i.image.name,
    "appliance": lambda i: i.appliance,
    "state": lambda i: i.state,
    "age": lambda i: i.image.created_at,
    "cloud": lambda i: i.image.cloud,
}


@router.get("/clouds/")
def show_clouds(request: Request, here: Here, person: Person) -> Response:
    """Show the clouds of the inventory."""
    runtime = here.services.runtime
    return page(
        request,
        "clouds",
        person,
        look=here.feed.look(),
        clouds=runtime.clouds(),
        leads=runtime.leads(),
        now=datetime.now(UTC),
    )


@router.get("/images/")
def show_images(request: Request, here: Here, person: Person, asked: AskedTable) -> Response:
    """Show the images of ours."""
    table = rows(
        sights.images(here.services, person.user),
        asked,
        text=lambda i: f"{i.image.id} {i.image.name} {i.appliance}@{i.content} {i.image.cloud}",
        orders=_ORDERS,
    )
    return page(request, "images", person, look=here.feed.look(), table=table)


@router.get("/builds/")
def show_builds(request: Request, here: Here, person: Person, asked: AskedTable) -> Response:
    """Show the builds that desks told of, the newest first."""
    look = here.feed.look()
    store, start = here.services.store, (asked.page - 1) * PAGE_ROWS
    begun = store.page_activity(AskedEvents(BEGUN), limit=PAGE_ROWS, offset=start)
    told = store.events_of("build", [event.name for event in begun.items])
    pages = max(1, -(-begun.total // PAGE_ROWS))
    table = Rows(builds_of(told, datetime.now(UTC)), begun.total, pages, Asked(page=asked.page))
    return page(request, "builds", person, look=look, table=table)


@router.get("/builds/{name}/")
def show_build(request: Request, here: Here, person: Person, name: Name) -> Response:
    """Show a build and its steps."""
    look = here.feed.look()
    build = find_build(here.services, name)
    return page(request, "build", person, look=look, build=build)
