"""Clouds, images and builds as the API shows them."""

from manager.api.views import Json, instant
from manager.builds import Build
from manager.machines.sights import CloudSight, CloudView, ImageView


def cloud(value: CloudView) -> Json:
    """Show a cloud of the inventory: what may run there, what does, and what fails."""
    entry, sight = value.entry, value.sight or CloudSight()
    reasons = [f"{failure.job}: {failure.words}" for failure in sight.failures]
    reasons = ([sight.pause] if sight.paused_until else []) + reasons
    return {
        "name": value.name,
        "kind": entry.kind,
        "state": value.state,
        "reason": "; ".join(reasons),
        "paused_until": instant(sight.paused_until),
        "rank": entry.rank,
        "machines": len(value.machines),
        "others": sight.others,
        "max_machines": entry.limits.machines,
        "spent": round(value.spent, 4),
        "price_per_day": entry.limits.price_per_day,
        "seen_at": instant(sight.seen_at),
        "breakers": [
            {
                "image": image,
                "failed_boots": breaker.failed_boots,
                "open": breaker.is_open,
                "console": breaker.console,
            }
            for image, breaker in value.breakers.items()
        ],
    }


def image(value: ImageView) -> Json:
    """Show an image of ours, and who uses it."""
    made = value.image
    return {
        "id": made.id,
        "name": made.name,
        "cloud": made.cloud,
        "appliance": value.appliance,
        "content": value.content,
        "state": value.state,
        "base": value.base_name or None,
        "created_at": instant(made.created_at),
        "operations": list(value.operations),
        "definitions": [int(number) for number in value.definitions],
        "machines": list(value.machines),
    }


def build(value: Build) -> Json:
    """Show a build of an image, and its steps."""
    return {
        "name": value.name,
        "appliance": value.appliance,
        "cloud": value.cloud,
        "by": value.by,
        "state": value.state.value,
        "reason": value.reason,
        "image": value.image or None,
        "begun_at": instant(value.begun_at),
        "told_at": instant(value.told_at),
        "ended_at": instant(value.ended_at),
        "duration_s": value.duration_s,
        "steps": [
            {
                "step": step.title,
                "state": step.state.value,
                "began_at": instant(step.began_at),
                "duration_s": step.duration_s,
            }
            for step in value.steps
        ],
        "resource_uri": f"/api/builds/{value.name}/",
    }
