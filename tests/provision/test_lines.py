"""Output as it comes, made into lines."""

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from paramiko.channel import Channel

from provision.lines import Lines
from provision.ssh import _at_end


@given(st.text(st.characters(exclude_characters="\r")), st.integers(1, 7))
def test_any_pieces_give_the_same_lines(text: str, size: int) -> None:
    heard = list[str]()
    lines = Lines(heard.append)
    data = text.encode(errors="replace")
    for start in range(0, len(data), size):
        lines.feed(data[start : start + size])
    lines.end()
    said = data.decode()
    assert heard == (said.removesuffix("\n").split("\n") if said else [])
    assert lines.text() == said


def test_a_line_is_heard_as_soon_as_it_is_complete() -> None:
    heard = list[str]()
    lines = Lines(heard.append)
    lines.feed(b"one\ntw")
    assert heard == ["one"]
    lines.feed(b"o\n")
    assert heard == ["one", "two"]


def test_the_tail_is_twenty_lines() -> None:
    lines = Lines()
    lines.feed("".join(f"{number}\n" for number in range(100)).encode())
    lines.end()
    assert lines.tail().split("\n") == [str(number) for number in range(80, 100)]


def test_a_progress_bar_is_what_one_sees_of_it() -> None:
    heard = list[str]()
    lines = Lines(heard.append)
    lines.feed(b"10%\r50%\r100%\r\ndone\r\n")
    assert heard == ["100%", "done"]


def test_endless_output_is_bounded() -> None:
    heard = list[str]()
    lines = Lines(heard.append)
    for _ in range(400):
        lines.feed(b"x" * 10_001)
    lines.feed(b"the end")
    lines.end()
    assert len(lines.text()) < 1_100_000
    assert lines.text().endswith("the end")
    assert lines.tail().endswith("the end")
    assert len(heard) == 401


def test_what_is_not_utf_8_is_shown_as_such() -> None:
    lines = Lines()
    lines.feed(b"gr\xfc\xdfe\n")
    lines.end()
    assert lines.text() == "gr\ufffd\ufffde\n"


def test_last_words_that_come_after_the_end_of_a_command_are_heard() -> None:
    lines, channel = Lines(), cast("Any", Channel)(1)
    channel.settimeout(0.01)
    read = channel.recv

    def late(size: int) -> Any:
        """Let the status, and then the last words, come when a read has given up waiting."""
        if not channel.exit_status_ready():
            channel.status_event.set()
            channel.in_buffer.feed(b"last words")
            raise TimeoutError
        return read(size)

    channel.recv = late
    assert [_at_end(channel, lines) for _ in range(3)] == [False, False, True]
    assert lines.text() == "last words"
