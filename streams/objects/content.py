"""Whether an object's bytes are the ones that were stored. Pure.

An ETag is the MD5 of an object, or, of one uploaded in parts, the MD5 of the parts' MD5s and
"-" and their number; so it can be computed where the size of the parts is known: our uploads note
it in the object's metadata. Of an object encrypted with a key of AWS KMS or of the customer's it
is neither. Where the SHA-256 was known before the upload, it is noted, too.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from streams.errors import ObjectDamagedError
from streams.reference import ObjectReference

if TYPE_CHECKING:
    from hashlib import _Hash

MIB = 1024 * 1024
#: Objects are stored and fetched in parts of this size; S3 takes none below 5 MiB but the last.
PART_BYTES = 8 * MIB
#: S3 takes no more parts than that in one object.
MOST_PARTS = 10_000
#: Names of metadata of objects that we store.
PART_SIZE = "streamboss-part-bytes"
SHA256 = "sha256"
_PLAIN = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OF_PARTS = re.compile(r"[0-9a-f]{32}-([1-9][0-9]{0,4})")


@dataclass(frozen=True, slots=True)
class Content:
    """What an object's bytes must be. What S3 doesn't say can't be checked: None."""

    size: int
    #: as S3 says it, without quotes; always there
    etag: str
    #: the ETag is the MD5 of parts of this size; None: it isn't made so, or it isn't known
    part_bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None

    @classmethod
    def of(cls, answer: Mapping[str, Any], size: int) -> Self:
        """Read what S3 answered to GET or HEAD."""
        etag = bare(answer.get("ETag", ""))
        metadata = {name.lower(): text for name, text in answer.get("Metadata", {}).items()}
        # with a key of KMS or of the customer's, an ETag only looks like an MD5
        opaque = (
            str(answer.get("ServerSideEncryption", "")).startswith("aws:kms")
            or "SSECustomerAlgorithm" in answer
        )
        return cls(
            size=size,
            etag=etag,
            part_bytes=None if opaque else _part_bytes(etag, metadata.get(PART_SIZE, ""), size),
            md5=etag if not opaque and _PLAIN.fullmatch(etag) else None,
            sha256=noted if _SHA256.fullmatch(noted := metadata.get(SHA256, "")) else None,
        )

    def must_be(self, reference: ObjectReference) -> None:
        """Raise ObjectDamagedError if `reference` names something else."""
        if reference.size is not None and reference.size != self.size:
            raise ObjectDamagedError(
                f"{reference} has {self.size} bytes, not the {reference.size} that were named: "
                "it was replaced"
            )
        if reference.etag is not None and reference.etag != self.etag:
            raise ObjectDamagedError(
                f"{reference} isn't the object that was named (ETag {self.etag}, "
                f"not {reference.etag}): it was replaced"
            )


class Check:
    """Takes an object's bytes in order, and says at the end whether they were the right ones."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._parts: PartsETag | None = None
        self._whole: _Hash | None = None
        if content.sha256:
            self._whole = hashlib.sha256()
        elif content.md5:
            self._whole = hashlib.md5(usedforsecurity=False)
        elif content.part_bytes:
            self._parts = PartsETag(content.part_bytes)

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._whole:
            self._whole.update(data)
        elif self._parts:
            self._parts.update(data)

    def right(self) -> bool:
        """Say whether those were the bytes; also True where nothing can be compared."""
        if self._whole:
            return self._whole.hexdigest() == (self._content.sha256 or self._content.md5)
        return not self._parts or self._parts.etag() == self._content.etag


class PartsETag:
    """The ETag of bytes uploaded in parts of one size."""

    def __init__(self, part_bytes: int) -> None:
        self._part_bytes = part_bytes
        self._done: list[bytes] = []
        self._room = part_bytes
        self._md5 = hashlib.md5(usedforsecurity=False)

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        view = memoryview(data)
        while len(view) >= self._room:
            self._md5.update(view[: self._room])
            view = view[self._room :]
            self._done.append(self._md5.digest())
            self._md5 = hashlib.md5(usedforsecurity=False)
            self._room = self._part_bytes
        self._md5.update(view)
        self._room -= len(view)

    def etag(self) -> str:
        """Return the ETag of what came so far."""
        rest = [self._md5.digest()] if self._room < self._part_bytes else []
        return etag_of([*self._done, *rest])


def etag_of(digests: Sequence[bytes]) -> str:
    """Return the ETag of parts with those MD5s."""
    md5 = hashlib.md5(b"".join(digests), usedforsecurity=False)
    return f"{md5.hexdigest()}-{len(digests)}"


def bare(etag: str) -> str:
    """Return an ETag without its quotes."""
    return etag.strip('"')


def part_bytes_for(size: int) -> int:
    """Return the size of parts in which `size` bytes are uploaded: whole MiB, few enough."""
    least = -(-size // MOST_PARTS)
    return max(PART_BYTES, -(-least // MIB) * MIB)


def _part_bytes(etag: str, noted: str, size: int) -> int | None:
    """Return the size of the parts if it can be true: a copy keeps the note, not the parts."""
    parts = _OF_PARTS.fullmatch(etag)
    if not parts or not (noted.isascii() and noted.isdigit() and int(noted)):
        return None
    return int(noted) if -(-size // int(noted)) == int(parts[1]) else None
