"""The log of a service: one line an entry, whatever names, reasons and errors hold."""

import logging

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from manager import logs as of_the_manager
from streams.logs import LineFormatter, printable

FORGED = "a\r\n2026-01-01 00:00:00,000 INFO all is well\x1b[2J\x9b31m\u2028b"


def _entry(message: str, error: Exception | None = None) -> str:
    exc_info = (type(error), error, None) if error else None
    record = logging.LogRecord("n", logging.INFO, "p", 1, "said: %s", (message,), exc_info)
    return LineFormatter("%(asctime)s %(levelname)s %(message)s").format(record)


@given(st.text())
def test_whatever_is_logged_is_one_line_that_commands_no_terminal(text: str) -> None:
    assert _entry(text).isprintable()
    assert printable(text).isprintable()


def test_an_error_cannot_look_like_another_entry() -> None:
    entry, *lines = _entry("x", ValueError(FORGED)).split("\n")
    assert entry.endswith("said: x")
    assert all(line.startswith("  ") and line.isprintable() for line in lines)
    assert len(lines) == 3


def test_what_the_manager_notes_beside_an_event_is_in_its_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    of_the_manager.to_stderr()
    log = structlog.get_logger()
    try:
        log.warning("a note", note=FORGED, count=2)
        try:
            int(FORGED + "\n" + FORGED)
        except ValueError:
            log.exception("a look failed")
    finally:
        structlog.reset_defaults()
    lines = capsys.readouterr().err.split("\n")
    assert lines[0].endswith(f"WARNING a note note={FORGED!r} count=2")
    assert lines[1].endswith("ERROR a look failed")
    assert all(line.startswith("  ") for line in lines[2:-1])
    assert "ValueError: " in lines[-2]
    assert all(line.isprintable() for line in lines)
