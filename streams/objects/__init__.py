"""S3; the only package that imports boto3.

Blocking and thread-safe: for threads, never for an event loop. Importing it is free: boto3 is
imported when an `Objects` first speaks.
"""

from streams.objects.content import PART_BYTES
from streams.objects.info import ObjectInfo
from streams.objects.store import Objects
from streams.objects.upload import Upload

__all__ = ["PART_BYTES", "ObjectInfo", "Objects", "Upload"]
