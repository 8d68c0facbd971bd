"""The four framings: any split of any bytes gives the same frames."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import FramingError
from streams.framing import Decoder, Framing, decode_all, encode, encode_pieces

_BINARY = [Framing.NETSTRING, Framing.LENGTH32]
_SEPARATED = {Framing.LINES: b"\n", Framing.NUL: b"\0"}


def _split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


@given(st.sampled_from(_BINARY), st.lists(st.binary(max_size=40)), st.lists(st.integers(0, 2000)))
def test_binary_framings_return_any_bodies_however_they_are_split(
    framing: Framing, bodies: list[bytes], cuts: list[int]
) -> None:
    wire = b"".join(encode(framing, body) for body in bodies)
    assert list(decode_all(framing, _split(wire, cuts))) == bodies


@given(
    st.sampled_from(list(_SEPARATED)), st.lists(st.binary(max_size=40)), st.lists(st.integers(0))
)
def test_separated_framings_return_bodies_without_their_separator(
    framing: Framing, bodies: list[bytes], cuts: list[int]
) -> None:
    bodies = [body.replace(_SEPARATED[framing], b"") for body in bodies]
    wire = b"".join(encode(framing, body) for body in bodies)
    assert list(decode_all(framing, _split(wire, cuts))) == bodies


@given(st.sampled_from(list(Framing)), st.binary(max_size=200), st.lists(st.integers(0, 300)))
def test_rubbish_is_refused_or_read_the_same_way_however_it_is_split(
    framing: Framing, data: bytes, cuts: list[int]
) -> None:
    def read(chunks: list[bytes]) -> list[bytes] | str:
        try:
            return list(decode_all(framing, chunks))
        except FramingError:
            return "refused"

    assert read(_split(data, cuts)) == read([data])


def test_a_line_is_ended_once() -> None:
    assert encode(Framing.LINES, b"a") == b"a\n"
    assert encode(Framing.LINES, b"a\n") == b"a\n"
    assert encode(Framing.LINES, b"") == b"\n"
    assert list(decode_all(Framing.LINES, [b"a\nb\n\nc"])) == [b"a", b"b", b"", b"c"]


@pytest.mark.parametrize("framing", Framing)
def test_an_unfinished_frame_is_bounded(framing: Framing) -> None:
    decoder = Decoder(framing, max_frame_bytes=1000)
    wire = {Framing.NETSTRING: b"1001:", Framing.LENGTH32: (1001).to_bytes(4, "big")}
    with pytest.raises(FramingError, match="1000"):
        decoder.feed(wire.get(framing, b"x" * 1020))


@pytest.mark.parametrize("wire", [b"3:abc", b"3:ab", b"3", b"\0\0\0\3ab", b"\0"])
def test_the_end_inside_a_frame_is_an_error(wire: bytes) -> None:
    framing = Framing.LENGTH32 if wire.startswith(b"\0") else Framing.NETSTRING
    decoder = Decoder(framing)
    assert decoder.feed(wire) == []
    with pytest.raises(FramingError, match="middle of a frame"):
        decoder.finish()


@pytest.mark.parametrize("wire", [b"03:abc,", b"x:", b"3:abcd", b"99999999999", b":,", b"-1:,"])
def test_bad_netstrings_are_refused(wire: bytes) -> None:
    with pytest.raises(FramingError):
        Decoder(Framing.NETSTRING).feed(wire)


@given(st.sampled_from(list(Framing)), st.binary(max_size=200), st.lists(st.integers(0, 300)))
def test_a_body_in_pieces_makes_the_same_frame(
    framing: Framing, body: bytes, cuts: list[int]
) -> None:
    pieces = encode_pieces(framing, len(body), _split(body, cuts))
    assert b"".join(pieces) == encode(framing, body)
