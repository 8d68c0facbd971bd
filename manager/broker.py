"""The manager's own use of the broker: topology, nodes' users, control messages, dead letters."""

import json
import secrets
import threading
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from enum import StrEnum
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import BaseModel

from manager import dead_letters, permissions
from manager.events import Event
from manager.misfits import alarms, misfits
from manager.model import EVERY, Backlog, Chosen, DeadLetter, Operation, StreamRate
from manager.people import People
from manager.tap import Tap
from streams import control, names, tls
from streams.broker import BrokerThread, Channel, Session, topology
from streams.control import Assignment, TrialAsked
from streams.errors import BrokerError
from streams.management import Management
from streams.message import Message
from streams.names import QueueName, QueueRole
from streams.settings import Settings

OnControl = Callable[[str, bytes], None]
T = TypeVar("T")
#: Roles of queues that make a stream one in use, beside operations.
_IN_USE = frozenset(
    {QueueRole.FOREIGN, QueueRole.CONSUMER, QueueRole.SUBSCRIPTION, QueueRole.ARCHIVE}
)


class Kind(StrEnum):
    """What the manager keeps on the broker."""

    STREAM = "stream"
    OPERATION = "operation"
    ARCHIVE = "archive"


class Kept(NamedTuple):
    """A stream, an operation, or the archive of a stream, that has to be on the broker."""

    kind: Kind
    name: str

    def is_among(self, exchanges: AbstractSet[str], queues: AbstractSet[str]) -> bool:
        """Whether all of it is there."""
        match self.kind:
            case Kind.STREAM:
                return names.exchange(self.name) in exchanges
            case Kind.OPERATION:
                return {names.operation_queue(self.name), names.dead_queue(self.name)} <= queues
            case Kind.ARCHIVE:
                return names.archive_queue(self.name) in queues


class ManagerBroker:
    """Blocking calls for any thread; each raises BrokerError when the broker is away or refuses."""

    def __init__(self, settings: Settings, on_control: OnControl) -> None:
        self._urls = settings.need_amqp()
        self._on_control = on_control
        self._queue = names.manager_queue()
        self.management = Management.from_settings(settings)
        self._thread = BrokerThread(self._urls, name="streamboss manager", on_channel=self._listen)
        #: whoever reads dead letters holds them: a second one would see a part, and move a part
        self._one_at_the_dead = threading.Lock()
        self._granted: dict[str, dict[str, str]] = {}
        self.people = People(self.management, self._joining)
        self._ca = {"ca": settings.ca_file.read_text()} if settings.ca_file else {}

    @property
    def connected(self) -> bool:
        """Whether the connection is open."""
        return self._thread.connected

    def start(self) -> None:
        """Connect, in the background, and go on trying."""
        self._thread.start()

    def stop(self) -> None:
        """Close the connections."""
        self._thread.stop()
        self.management.close()

    # ---- topology

    def ensure_control(self) -> None:
        """Have the exchanges that nodes speak over, and the nodes' rights."""
        self._on_channel(topology.declare_control)
        self._grant_again()

    def missing(self, kept: Iterable[Kept]) -> set[Kept]:
        """Return what of these the broker doesn't have (a new broker, a lost exchange)."""
        exchanges = set(self.management.exchange_names())
        queues = {queue["name"] for queue in self.management.queues()}
        return {each for each in kept if not each.is_among(exchanges, queues)}

    def make(self, lost: Iterable[Kept]) -> None:
        """Make these anew; a stream gets its subscriptions back."""
        queues = [queue["name"] for queue in self.management.queues()]
        for kind, name in sorted(lost, reverse=True):  # streams before who collects them
            match kind:
                case Kind.STREAM:
                    self.create_stream(name)
                    self._bind_subscriptions(name, queues)
                case Kind.OPERATION:
                    self.create_operation(name)
                case Kind.ARCHIVE:
                    self.create_archive(name)

    def misfits(self) -> list[str]:
        """Return which queues endanger messages though the broker works, a line each."""
        return misfits(self.management.queues(), self.management.policies())

    def alarms(self) -> list[str]:
        """Return what the broker is short of, a line for each of its nodes."""
        return alarms(self.management.nodes())

    def create_stream(self, name: str) -> None:
        """Make sure that the stream's exchange exists."""
        self._on_channel(partial(topology.declare_stream, stream=name))

    def delete_stream(self, name: str) -> None:
        """Delete the stream's exchange, and with it who may use it."""
        self.people.forget_stream(name)
        self._on_channel(partial(topology.delete_stream, stream=name))

    def create_operation(self, name: str) -> None:
        """Make sure that the operation's queues exist."""
        self._on_channel(partial(topology.declare_operation, operation=name))

    def delete_operation(self, name: str) -> tuple[int, int]:
        """Delete the operation's queues; return how many inputs and dead letters went with them."""
        self.set_backlog(name, Backlog())
        return self._on_channel(partial(topology.delete_operation, operation=name))

    def bind(self, operation: Operation) -> None:
        """Let the operation collect its input stream."""
        self._on_channel(
            partial(
                topology.bind_operation, operation=operation.name, stream=operation.input_stream
            )
        )

    def unbind(self, operation: Operation) -> None:
        """Let the operation collect nothing more."""
        self._on_channel(
            partial(
                topology.unbind_operation, operation=operation.name, stream=operation.input_stream
            )
        )

    def create_archive(self, stream: str) -> None:
        """Make sure that the queue of the stream's archive exists, and collects."""
        self._on_channel(partial(topology.declare_archive, stream=stream))

    def end_archive(self, stream: str, mark: str) -> None:
        """Let the stream's archive collect nothing more; a mark follows what waits in its queue."""
        self._on_channel(partial(topology.unbind_archive, stream=stream))
        key, message = names.archive_end_key(stream), Message(mark.encode())
        try:
            self._thread.call(
                lambda session: session.publish(names.CONTROL_EXCHANGE, message, routing_key=key)
            )
        except BrokerError:
            with suppress(BrokerError):  # the first failure is the one to tell
                self.create_archive(stream)
            raise

    def delete_archive(self, stream: str) -> None:
        """Delete the queue of the stream's archive."""
        self._on_channel(partial(topology.delete_archive, stream=stream))

    def foreign_bindings(self, stream: str) -> list[str]:
        """Return the queues, other than operations', that collect the stream."""
        bound = self.management.bound_to(names.exchange(stream))
        return sorted(q for q in bound if names.parse_queue(q).role in _IN_USE)

    def subscriptions(self) -> list[tuple[str, int]]:
        """Return each durable subscription's queue and how many messages wait in it."""
        return sorted(
            (queue["name"], int(queue.get("messages", 0)))
            for queue in self.management.queues()
            if names.parse_queue(queue["name"]).role is QueueRole.SUBSCRIPTION
        )

    def remove_subscription(self, stream: str, name: str) -> int:
        """Delete a subscription; return how many messages were thrown away."""
        queue = names.subscription_queue(stream, name)
        self.depth(queue)
        answer = self._on_channel(lambda channel: channel.queue_delete(queue))
        return int(answer.method.message_count or 0)

    def set_backlog(self, operation: str, backlog: Backlog) -> None:
        """Bound what the operation's queue holds; it drops its oldest beyond."""
        policy = f"streamboss.backlog.{operation}"
        definition = permissions.backlog_policy(backlog)
        if definition:
            self.management.put_policy(policy, permissions.queue_pattern(operation), definition)
        else:
            self.management.delete_policy(policy)

    def depth(self, queue: str) -> int:
        """Return how many messages are ready in a queue, exactly."""
        answer = self._on_channel(lambda channel: channel.queue_declare(queue, passive=True))
        return int(answer.method.message_count)

    def queue_depths(self) -> dict[str, int]:
        """Return how many messages each queue has, unacknowledged included."""
        return {q["name"]: int(q.get("messages", 0)) for q in self.management.queues()}

    def purge(self, operation: str) -> int:
        """Throw away what waits for the operation; return how many."""
        return self._purge(names.operation_queue(operation))

    # ---- dead letters

    def dead_letters(self, operation: str, limit: int = dead_letters.LISTED) -> list[DeadLetter]:
        """Return the oldest dead letters; they stay where they are."""
        with self._one_at_the_dead, self._own_session("dead letters") as session:
            return dead_letters.read(session, operation, limit)

    def redrive(self, operation: str, limit: int | None = None, chosen: Chosen = EVERY) -> int:
        """Put dead letters back into the operation's queue, attempts from 1; return how many."""
        with self._one_at_the_dead, self._own_session("redrive") as session:
            return dead_letters.redrive(session, operation, limit, chosen)

    def purge_dead(self, operation: str) -> int:
        """Throw the dead letters away; return how many."""
        return self._purge(names.dead_queue(operation))

    # ---- for people who look

    def stream_rates(self) -> dict[str, StreamRate]:
        """Return what comes on each stream on which something came lately; up to 5 s late."""
        rates = {}
        for item in self.management.exchange_rates():
            stats, stream = item.get("message_stats"), names.stream_of(item["name"])
            if stats and stream:
                rates[stream] = StreamRate(
                    int(stats.get("publish_in", 0)),
                    float(stats.get("publish_in_details", {}).get("rate", 0.0)),
                    float(stats.get("publish_out_details", {}).get("rate", 0.0)),
                )
        return rates

    def stream_history(self, stream: str, *, age_s: int, step_s: int) -> list[tuple[float, float]]:
        """Return when, in seconds since 1970, how much came on a stream a second.

        Nothing of before the broker began: it counts from then, and shows zeros for what was.
        """
        since_s = self.management.up_since()
        found = self.management.exchange(names.exchange(stream), age_s=age_s, step_s=step_s)
        details = found.get("message_stats", {}).get("publish_in_details", {})
        samples = [(s["timestamp"] / 1000, s["sample"]) for s in details.get("samples", ())]
        samples = sorted(each for each in samples if each[0] > since_s)
        return [
            (later[0], max(0.0, (later[1] - sooner[1]) / (later[0] - sooner[0])))
            for sooner, later in pairwise(samples)
        ]

    def collectors(self, stream: str) -> list[str]:
        """Return the queues and exchanges that collect a stream; not who only looks."""
        found = self.management.bound_to(names.exchange(stream))
        return sorted(each for each in found if names.parse_queue(each).role is not QueueRole.TAP)

    def tap(self, stream: str) -> Tap:
        """Return a look at a stream, which is no demand."""
        return Tap(self._urls, stream)

    def publish(self, stream: str, message: Message) -> bool:
        """Publish one message, confirmed; say whether anybody collected it: looks don't count."""
        exchange = names.exchange(stream)
        taken = self._thread.call(lambda session: session.publish(exchange, message))
        try:
            return taken and bool(self.collectors(stream))
        except BrokerError:  # it was published all the same
            return taken

    # ---- nodes

    def add_node(self, name: str) -> dict[str, Any]:
        """Create the node's broker user, or give it a new password.

        Returns:
            What its agent.json says of the broker: `amqp_urls`, and `ca` where we know its CA.
        """
        user, password = permissions.node_user(name), secrets.token_urlsafe(24)
        self.management.put_user(user, password)
        self._granted.pop(name, None)
        self.grant(name, ())
        self.management.put_topic_permissions(
            user, names.CONTROL_EXCHANGE, **permissions.topic_rights(name)
        )
        return self._joining(user, password)

    def remove_node(self, name: str) -> None:
        """Delete the node's broker user, which closes its connections."""
        self._granted.pop(name, None)
        self.management.delete_user(permissions.node_user(name))

    def forget_rights(self, node: str) -> None:
        """Grant anew the next time: another manager may have made the node's user anew."""
        self._granted.pop(node, None)

    def grant(self, node: str, operations: Iterable[Operation]) -> None:
        """Let the node run these operations, and no others; asks the broker only for a change."""
        rights = permissions.node_rights(node, operations)
        if self._granted.get(node) != rights:
            self.management.put_permissions(permissions.node_user(node), **rights)
            self._granted[node] = rights

    def assign(self, assignment: Assignment) -> bool:
        """Send a node its wanted set; say whether its agent's queue is there to take it."""
        return self._tell(assignment.node, assignment)

    def ask_trial(self, asked: TrialAsked) -> bool:
        """Ask a node to try a program; say whether its agent's queue is there to take it."""
        return self._tell(asked.node, asked)

    def _tell(self, node: str, said: BaseModel) -> bool:
        message = Message(control.encode(said), content_type="application/json")
        key = control.assignment_key(node)
        return self._thread.call(
            lambda session: session.publish(names.CONTROL_EXCHANGE, message, routing_key=key)
        )

    def publish_event(self, event: Event) -> None:
        """Publish onto the stream `streamboss.events`."""
        body = json.dumps(event.document()).encode()
        message = Message(body, content_type="application/json")
        exchange = names.exchange(names.EVENTS_STREAM)
        self._thread.call(lambda session: session.publish(exchange, message, mandatory=False))

    # ---- inside

    def _joining(self, user: str, password: str) -> dict[str, Any]:
        """Return how somebody else reaches the broker, whose CA's file is another."""
        urls = [_with_login(tls.parted(url)[0], user, password) for url in self._urls]
        return {"amqp_urls": urls, **self._ca}

    def _grant_again(self) -> None:
        """Give nodes the rights that somebody took from them; a node that was removed has none."""
        kinds = ("configure", "write", "read")
        there = {p["user"]: {k: p[k] for k in kinds} for p in self.management.permissions()}
        lacking = {
            user: rights
            for node, rights in self._granted.items()
            if there.get(user := permissions.node_user(node)) != rights
        }
        if lacking:
            for user in lacking.keys() & set(self.management.user_names()):
                self.management.put_permissions(user, **lacking[user])

    def _bind_subscriptions(self, stream: str, queues: Iterable[str]) -> None:
        for queue in queues:
            if names.parse_queue(queue) == QueueName(QueueRole.SUBSCRIPTION, stream):
                exchange = names.exchange(stream)
                self._on_channel(partial(Channel.queue_bind, queue=queue, exchange=exchange))

    def _on_channel(self, action: Callable[[Channel], T]) -> T:
        return self._thread.call(lambda session: session.call(action))

    def _purge(self, queue: str) -> int:
        answer = self._on_channel(lambda channel: channel.queue_purge(queue))
        return int(answer.method.message_count or 0)

    def _own_session(self, what: str) -> Session:
        """A connection of its own: a long walk mustn't hold up the control messages."""
        return Session(self._urls, name=f"streamboss manager: {what}")

    def _listen(self, channel: Channel) -> None:
        topology.declare_control(channel)
        channel.queue_declare(self._queue, exclusive=True, auto_delete=True)
        channel.queue_bind(self._queue, names.CONTROL_EXCHANGE, control.FROM_NODES)

        def heard(_channel: Channel, method: object, _properties: object, body: bytes) -> None:
            self._on_control(str(getattr(method, "routing_key", "")), body)

        channel.basic_consume(self._queue, heard, auto_ack=True)


def _with_login(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{login}@{host}"))
