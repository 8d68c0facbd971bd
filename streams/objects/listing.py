"""Objects listed in the order of their keys, whatever the server's.

S3 lists by key, as bytes. A server that walks folders lists `a`, `a/b`, `a-b` where S3 has `a`,
`a-b`, `a/b`. So each folder is listed by itself, and a sub-folder waits until no smaller key can
follow: right on both, lazy, and nothing is held but folders whose names begin with one another.
"""

import heapq
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from streams.objects.connection import Connection
from streams.objects.content import bare
from streams.objects.info import ObjectInfo

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

#: S3 lists no more at once.
_PAGE = 1000
#: What sorts before the "/" that ends a folder's name.
_BELOW_SLASH = re.compile(r"[\x00-.]")


def in_order(connection: Connection, bucket: str, prefix: str, after: str) -> Iterator[ObjectInfo]:
    """Give the objects whose keys begin with `prefix` and are larger than `after`, by key."""
    if after > prefix and not after.startswith(prefix):
        return  # all of them are smaller
    folders: list[str] = []
    for name, found in _folder(connection, bucket, prefix, after):
        while folders and folders[0] < name:
            yield from in_order(connection, bucket, heapq.heappop(folders), after)
        if found is None:
            heapq.heappush(folders, f"{name}/")
        elif name > after and not _is_a_folder(found):
            yield found
    while folders:
        yield from in_order(connection, bucket, heapq.heappop(folders), after)


def _is_a_folder(found: ObjectInfo) -> bool:
    """Say whether that is only a folder's mark: some servers leave one where objects were."""
    return found.key.endswith("/") and not found.size


def start_in(prefix: str, after: str) -> str:
    """Return what the list of a folder may start after, so that nothing after `after` is missed.

    Of the part of `after` in this folder only what comes before a character below "/" counts, as
    folders of that name sort behind it; and one character less, as S3 starts behind what is named.
    """
    if not after.startswith(prefix):
        return ""
    name = after[len(prefix) :].partition("/")[0]
    start = _BELOW_SLASH.split(name, maxsplit=1)[0][:-1]
    return f"{prefix}{start}" if start else ""


def _folder(
    connection: Connection, bucket: str, prefix: str, after: str
) -> Iterator[tuple[str, ObjectInfo | None]]:
    """Give names in one folder, sub-folders without "/" and without info, by name."""
    asked: dict[str, Any] = {
        "Bucket": bucket,
        "Prefix": prefix,
        "Delimiter": "/",
        "MaxKeys": _PAGE,
    }
    if start := start_in(prefix, after):
        asked["StartAfter"] = start
    while True:
        with connection.calling(bucket) as client:
            page = client.list_objects_v2(**asked)
        yield from _sorted(page)
        if not page.get("IsTruncated"):
            return
        asked["ContinuationToken"] = page["NextContinuationToken"]


def _sorted(page: "ListObjectsV2OutputTypeDef") -> list[tuple[str, ObjectInfo | None]]:
    objects: list[tuple[str, ObjectInfo | None]] = [
        (
            item["Key"],
            ObjectInfo(item["Key"], item["Size"], bare(item["ETag"]), item["LastModified"]),
        )
        for item in page.get("Contents", [])
    ]
    folders = [(item["Prefix"].removesuffix("/"), None) for item in page.get("CommonPrefixes", [])]
    return sorted([*objects, *folders], key=lambda entry: entry[0])
