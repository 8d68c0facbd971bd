"""What messages and objects look like on stdout."""

import json
from io import BytesIO

import pytest

from streams.errors import FramingError
from streams.framing import Framing
from streams.message import Message
from streams.reference import ObjectReference
from tools.shapes import Framed, Json, Seen, Shape

MESSAGE = Message(b"{}", message_id="id")


def shown(shape: Shape, content: bytes | None, kind: str | None, size: int | None = None) -> bytes:
    reference = ObjectReference("bucket", "key", size, None, kind)
    file = None if content is None else BytesIO(content)
    return b"".join(shape.object(MESSAGE, reference, file))


@pytest.mark.parametrize(
    ("framing", "kind", "content", "expected"),
    [
        (Framing.LINES, "text/csv", b"a\nb", b"a\nb\n"),
        (Framing.LINES, "text/csv", b"a\nb\n", b"a\nb\n"),
        (Framing.LINES, "text/csv", b"", b"\n"),
        (Framing.LINES, "image/png", b"\x89PNG", b"\x89PNG"),
        (Framing.LINES, None, b"unknown", b"unknown"),
        (Framing.LINES, None, b"", b""),
        (Framing.NUL, "image/png", b"\x89PNG", b"\x89PNG\0"),
        (Framing.NETSTRING, None, b"abc", b"3:abc,"),
        (Framing.LENGTH32, None, b"abc", b"\0\0\0\x03abc"),
    ],
)
def test_a_program_gets_an_object_as_one_frame_and_binaries_of_lines_exactly(
    framing: Framing, kind: str | None, content: bytes, expected: bytes
) -> None:
    assert shown(Framed(framing), content, kind) == expected


def test_what_has_no_length_in_four_bytes_is_refused() -> None:
    class Huge(BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            return 1 << 32 if whence else super().seek(offset, whence)

    with pytest.raises(FramingError, match=r"4,294,967,296 bytes don't fit .* length32"):
        Framed(Framing.LENGTH32).object(MESSAGE, ObjectReference("bucket", "key"), Huge())


@pytest.mark.parametrize(
    ("content", "kind", "size", "expected"),
    [
        (b"a\x1b[2Jb", "text/plain", None, b"a\\x1b[2Jb\n"),
        (b"a\n", "text/plain", None, b"a\n"),
        (b"\xc3", "text/plain", None, "\ufffd\n".encode()),
        (b'{"a": 1}', "application/json", 8, b'{"a": 1}\n'),
        (b"\0\1", "image/png", 2, b"(2 bytes, image/png)\n"),
        (None, "image/png", None, b"(some bytes, image/png, s3://bucket/key)\n"),
    ],
)
def test_a_person_sees_text_without_tricks_and_else_what_it_is(
    content: bytes | None, kind: str, size: int | None, expected: bytes
) -> None:
    assert shown(Seen(), content, kind, size) == expected


def test_text_that_is_cut_within_a_letter_comes_out_whole() -> None:
    text = "\u00e4" * 200_000
    content = b"x" + text.encode()
    assert shown(Seen(), content, "text/plain") == content + b"\n"


def test_a_person_waits_for_no_large_binary() -> None:
    large = ObjectReference("bucket", "key", 2 << 20, None, "image/png")
    assert not Seen().wants(large)
    assert Seen().wants(ObjectReference("bucket", "key", 2 << 20, None, "text/plain"))
    assert not Json().wants(large)
    assert Framed(Framing.LINES).wants(large)


def test_json_of_an_object_says_what_it_is_and_where() -> None:
    line = json.loads(shown(Json(), b"\xff", "image/png", 1))
    assert (line["message_id"], line["content_type"], line["body_base64"]) == (
        *("id", "image/png"),
        "/w==",
    )
    assert line["reference"]["key"] == "key"
    assert "body" not in json.loads(shown(Json(), None, "image/png"))
