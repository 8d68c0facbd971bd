"""The stack's buckets: there before anybody needs them."""

from streams.errors import ObjectError
from streams.objects import Objects
from streams.settings import Settings
from tools.stack.progress import Progress


def make(settings: Settings, say: Progress) -> None:
    """Make the buckets that the settings name; what hinders that hinders nothing else."""
    objects = Objects(settings.s3)
    try:
        for bucket in filter(None, (settings.bucket, settings.object_bucket)):
            objects.ensure_bucket(bucket)
    except ObjectError as error:
        say.note(f"s3: {error}; objects and archives wait for that")
