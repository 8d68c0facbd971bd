"""`clouds`, `images` and `builds`: where machines come from, and what they are made of."""

from collections.abc import Sequence

import typer

from tools import console
from tools.commands.arguments import AsJson

app = typer.Typer()
_CLOUDS = (
    "name",
    "kind",
    "state",
    "rank",
    "machines",
    "others",
    "spent",
    "price_per_day",
    "reason",
)
_IMAGES = ("name", "appliance", "state", "content", "base", "created_at", "cloud", "operations")
_BUILDS = ("name", "appliance", "cloud", "state", "begun_at", "duration_s", "by", "reason")


@app.command("clouds")
def clouds(*, as_json: AsJson = False) -> None:
    """List the clouds that the manager launches machines on, what runs there, and what fails.

    Example: streamboss clouds
    """
    nothing = "the manager has no inventory: no machine is launched"
    _list("clouds", _CLOUDS, nothing, as_json=as_json)


@app.command("images")
def images(*, as_json: AsJson = False) -> None:
    """List the images that machines are launched from, the newest first, and who uses them.

    Example: streamboss images
    """
    _list("images", _IMAGES, "no images: 'fab build_appliance' makes one", as_json=as_json)


@app.command("builds")
def builds(*, as_json: AsJson = False) -> None:
    """List the builds of images that the manager was told of, the newest first.

    Example: streamboss builds --json
    """
    _list("builds", _BUILDS, "no builds: 'fab build_appliance' makes one", as_json=as_json)


def _list(kind: str, columns: Sequence[str], nothing: str, *, as_json: bool) -> None:
    with console.manager() as manager:
        console.show(manager.list(kind), columns, as_json=as_json, nothing=nothing)
