"""The embedded stack: broker, S3, manager and agent as supervised children on 127.0.0.1."""

from tools.stack.errors import StackError
from tools.stack.lifecycle import down, up
from tools.stack.progress import Progress
from tools.stack.status import PartStatus, StackStatus, describe, next_commands, status

__all__ = [
    "PartStatus",
    "Progress",
    "StackError",
    "StackStatus",
    "describe",
    "down",
    "next_commands",
    "status",
    "up",
]
