"""`/api/clouds/` and `/api/images/`: where machines come from, and what they are made of."""

from fastapi import APIRouter

from manager import sights
from manager.api import machine_views as views
from manager.api.answers import Answer, Asked
from manager.api.logins import Parts, Viewer

router = APIRouter(prefix="/api", tags=["clouds"])


@router.get("/clouds/")
def list_clouds(_: Viewer, services: Parts, asked: Asked) -> Answer:
    """List the clouds of the manager's inventory, the lowest rank first."""
    return asked.cut(services.runtime.clouds(), views.cloud)


@router.get("/images/")
def list_images(viewer: Viewer, services: Parts, asked: Asked) -> Answer:
    """List the images of ours on all clouds, and who uses them, the newest first."""
    return asked.cut(sights.images(services, viewer), views.image)
