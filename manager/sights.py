"""Images with who uses them, as far as somebody may see that."""

from manager.machines.sights import ImageView, image_views
from manager.model import User
from manager.roles import sees
from manager.services import Services

#: More definitions aren't looked at.
_MOST = 10_000


def images(services: Services, user: User) -> list[ImageView]:
    """Return the images of ours on all clouds; of definitions those that `user` sees."""
    found = services.store.page_definitions(owner=sees(user), limit=_MOST, offset=0).items
    applications = {str(each.id): each.definition.application for each in found}
    return image_views(services.runtime.clouds(), services.store.list_operations(), applications)
