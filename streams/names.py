"""How things are called on the broker. Pure: spelling is here, and nowhere else."""

import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Literal

from streams.errors import InvalidNameError

CONTROL_EXCHANGE = "streamboss.control"
DEAD_EXCHANGE = "operations.dead"
EVENTS_STREAM = "streamboss.events"

#: Whoever plans spells thousands of names at each look, the same ones again and again.
_SPELLED = 20_000

_LEGAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_RULE = "use A-Z, a-z, 0-9, '.', '_', '-', beginning with a letter or digit, 100 characters at most"

#: queues whose name is a role and an owner / a role, an owner and one word more
_WHOLE = frozenset({"archives", "managers"})
_WITH_SUFFIX = frozenset({"subscriptions", "consumers", "taps", "agents"})

Kind = Literal["stream", "operation", "subscription", "node", "user"]


class QueueRole(StrEnum):
    """What a queue is for, told by its name; anything else belongs to a foreign client."""

    OPERATION = "operations"
    DEAD = "dead"
    SUBSCRIPTION = "subscriptions"
    CONSUMER = "consumers"
    ARCHIVE = "archives"
    TAP = "taps"
    AGENT = "agents"
    MANAGER = "managers"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class QueueName:
    """A queue's name taken apart: its role, and what it belongs to (an operation, a stream)."""

    role: QueueRole
    owner: str


def name_problem(kind: Kind, name: str) -> str | None:
    """Say what is wrong with `name`, or None. `streamboss.events` is legal only as a stream."""
    if kind == "stream" and name == EVENTS_STREAM:
        return None
    if not _LEGAL.fullmatch(name):
        return f"{kind} name {name!r}: {_RULE}"
    if name.endswith(".dead"):
        return f"{kind} name {name!r}: must not end in '.dead'"
    if name.startswith("streamboss."):
        return f"{kind} name {name!r}: 'streamboss.' is reserved"
    if kind in {"node", "subscription"} and "." in name:
        # a node is one word of a routing key; a subscription follows its stream in a queue's name
        return f"{kind} name {name!r}: must not contain '.'"
    return None


def check_name(kind: Kind, name: str) -> str:
    """Return `name` if it is legal.

    Raises:
        InvalidNameError: it isn't; the text says why.
    """
    if problem := name_problem(kind, name):
        raise InvalidNameError(problem)
    return name


@lru_cache(maxsize=_SPELLED)
def exchange(stream: str) -> str:
    """Return the fanout exchange that is `stream`."""
    return f"streams.{check_name('stream', stream)}"


def stream_of(exchange_name: str) -> str | None:
    """Return the stream whose exchange this is, or None."""
    prefix, _, stream = exchange_name.partition(".")
    return stream if prefix == "streams" and stream else None


@lru_cache(maxsize=_SPELLED)
def operation_queue(operation: str) -> str:
    """Return the queue from which the agents of `operation` take its input."""
    return f"operations.{check_name('operation', operation)}"


def dead_queue(operation: str) -> str:
    """Return the queue of what `operation` gave up on."""
    return f"{operation_queue(operation)}.dead"


def subscription_queue(stream: str, name: str) -> str:
    """Return the durable queue of the subscription `name` on `stream`."""
    return f"subscriptions.{check_name('stream', stream)}.{check_name('subscription', name)}"


def archive_queue(stream: str) -> str:
    """Return the queue that collects `stream` for its archive."""
    return f"archives.{check_name('stream', stream)}"


def archive_end_key(stream: str) -> str:
    """Return the routing key, on the control exchange, of the mark that ends an archive."""
    return f"archive.{check_name('stream', stream)}"


def consumer_queue(stream: str) -> str:
    """Return a fresh name for a consumer's own queue."""
    return f"consumers.{check_name('stream', stream)}.{secrets.token_hex(6)}"


def tap_queue(stream: str) -> str:
    """Return a fresh name for a look at `stream` that isn't demand."""
    return f"taps.{check_name('stream', stream)}.{secrets.token_hex(6)}"


def agent_queue(node: str, incarnation: str) -> str:
    """Return the queue on which this incarnation of a node's agent hears the manager."""
    return f"agents.{check_name('node', node)}.{incarnation}"


def manager_queue() -> str:
    """Return a fresh name for the queue on which one manager process hears the agents."""
    return f"managers.{secrets.token_hex(6)}"


def parse_queue(queue: str) -> QueueName:
    """Tell what a queue is for. Never fails: what isn't ours is FOREIGN."""
    prefix, _, rest = queue.partition(".")
    if rest and prefix == "operations":
        dead = rest.endswith(".dead")
        return QueueName(
            QueueRole.DEAD if dead else QueueRole.OPERATION, rest.removesuffix(".dead")
        )
    if rest and prefix in _WHOLE:
        return QueueName(QueueRole(prefix), rest)
    if rest and prefix in _WITH_SUFFIX:
        return QueueName(QueueRole(prefix), rest.rpartition(".")[0] or rest)
    return QueueName(QueueRole.FOREIGN, "")
