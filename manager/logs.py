"""What the manager's processes say on stderr."""

import logging
from typing import Any

import structlog

from streams import logs


def to_stderr() -> None:
    """Log to stderr, plainly: a supervisor keeps it."""
    logs.to_stderr()
    # what these have to say about each request and connection, we say once and in our words
    for name in ("httpx", "alembic", "uvicorn", "boto3", "botocore", "s3transfer", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[_as_entry],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def _as_entry(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> tuple[tuple[str], dict[str, Any]]:
    """Return an event as an entry of the standard library's log: a text, and what is beside it."""
    text, exc_info = str(event.pop("event")), event.pop("exc_info", None)
    return (" ".join([text, *(f"{k}={v!r}" for k, v in event.items())]),), {"exc_info": exc_info}
