"""The manager's runtime against a real broker, with agents played by the test over AMQP."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from manager.model import DemandMode, Operation, OperationState, Role
from manager.permissions import node_user
from manager.runtime import Runtime
from manager.store import Asked, Store
from streams import control, names
from streams.access import ObjectStore, S3Access
from streams.broker import BrokerThread, Channel, Session
from streams.control import Assignment, Heartbeat, OperatorReport, OperatorState
from streams.definition import ProcessDefinition
from streams.management import Management
from streams.message import Message
from streams.settings import Settings
from tests.eventually import eventually
from tests.rabbit import BrokerNode

CAT = ProcessDefinition(name="cat", application="test", exec="cat")


class PlayedAgent:
    """A node that says it runs whatever it is told to; speaks the contract over real AMQP."""

    def __init__(self, settings: Settings, name: str, *, slots: int, offers: str) -> None:
        self.name, self.slots, self.offers = name, slots, (offers,)
        self.assignment: Assignment | None = None
        self.assigned_at: float = 0.0
        self._queue = names.agent_queue(name, "1")
        self._thread = BrokerThread(
            settings.need_amqp(), name=f"played {name}", on_channel=self._listen
        )
        self._stopping = threading.Event()
        self._beat = threading.Thread(target=self._run, daemon=True)

    def start(self) -> "PlayedAgent":
        self._thread.start()
        self._beat.start()
        return self

    def stop(self) -> None:
        """Fall silent, as a machine that lost its power."""
        self._stopping.set()
        self._beat.join()
        self._thread.stop()

    @property
    def running(self) -> set[str]:
        wanted = self.assignment.operations if self.assignment else ()
        return {a.operation for a in wanted if not a.draining}

    def _listen(self, channel: Channel) -> None:
        channel.queue_declare(self._queue, exclusive=True, auto_delete=True)
        channel.queue_bind(self._queue, names.CONTROL_EXCHANGE, control.assignment_key(self.name))
        channel.basic_consume(self._queue, self._told, auto_ack=True)

    def _told(self, _channel: Channel, _method: object, _properties: object, body: bytes) -> None:
        self.assignment, self.assigned_at = control.decode(Assignment, body), time.monotonic()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._thread.call(self._say)
            self._stopping.wait(0.2)

    def _say(self, session: Session) -> None:
        term = self.assignment.term if self.assignment else 0
        wanted = self.assignment.operations if self.assignment else ()
        said = Heartbeat(
            node=self.name,
            incarnation="1",
            term=term,
            slots=self.slots,
            offers=self.offers,
            operators=tuple(
                OperatorReport(
                    operation=a.operation, revision=a.revision, state=OperatorState.RUNNING
                )
                for a in wanted
                if not a.draining
            ),
        )
        session.publish(
            names.CONTROL_EXCHANGE,
            Message(control.encode(said)),
            routing_key=control.heartbeat_key(self.name),
        )


class World:
    """A manager's runtime, its store, and whoever takes part."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings, self.store = settings, store
        self.runtime = Runtime(settings, store)
        self.agents: list[PlayedAgent] = []

    def start(self) -> None:
        self.runtime.start()
        eventually(lambda: not self.runtime.problems(), what="the runtime is ready")

    def agent(
        self, name: str, *, slots: int = 10, offers: str = "any", may_offer: str = "any"
    ) -> PlayedAgent:
        with self.store.created_node(name, "admin", [may_offer]):
            self.runtime.broker.add_node(name)
        agent = PlayedAgent(self.settings, name, slots=slots, offers=offers).start()
        self.agents.append(agent)
        return agent

    def operation(self, name: str, source: str, target: str, **fields: object) -> None:
        number = self.store.create_definition("admin", CAT).id
        made = Operation(
            name=name,
            owner="admin",
            process_definition_id=number,
            definition=CAT,
            input_stream=source,
            output_stream=target,
            **fields,  # type: ignore[arg-type]
        )
        for stream in (source, target):
            self.runtime.broker.create_stream(stream)
        self.runtime.broker.create_operation(name)
        with self.store.created_operation(made):
            pass
        self.runtime.poke()

    def state(self, name: str) -> OperationState | None:
        status = self.runtime.statuses().get(name)
        return status.state if status else None

    def is_bound(self, operation: str, stream: str) -> bool:
        queues = self.runtime.broker.management.bound_to(names.exchange(stream))
        return names.operation_queue(operation) in queues


@pytest.fixture
def world(settings: Settings, tmp_path: Path) -> Iterator[World]:
    store = Store(f"sqlite:///{tmp_path}/manager.db")
    store.prepare()
    store.create_user("admin", Role.ADMIN, "x")
    made = World(settings, store)
    made.start()
    yield made
    for agent in made.agents:
        agent.stop()
    made.runtime.stop()
    store.close()


@pytest.fixture
def consume(settings: Settings) -> Iterator[Callable[[str], Session]]:
    """Consume a stream with a foreign client's queue; closing the session ends it."""
    sessions: list[Session] = []

    def start(stream: str) -> Session:
        session = Session(settings.need_amqp(), name="foreign")
        queue = str(session.channel.queue_declare("", exclusive=True).method.queue)
        session.channel.queue_bind(queue, names.exchange(stream))
        session.channel.basic_consume(queue, lambda *_: None, auto_ack=True)
        sessions.append(session)
        return session

    yield start
    for session in sessions:
        session.close()


Consume = Callable[[str], Session]


def test_an_operation_runs_while_its_output_is_consumed(world: World, consume: Consume) -> None:
    agent = world.agent("n1")
    eventually(lambda: world.runtime._watch.whole, what="all demand is known")
    world.operation("up", "a", "b", linger_s=0.5)
    eventually(lambda: world.state("up") is OperationState.IDLE)
    assert not world.is_bound("up", "a")

    viewer = consume("b")
    eventually(lambda: world.state("up") is OperationState.RUNNING)
    assert agent.running == {"up"}
    assert world.is_bound("up", "a")

    viewer.close()
    eventually(lambda: world.state("up") is OperationState.LINGERING)
    eventually(lambda: world.state("up") is OperationState.IDLE)
    assert not world.is_bound("up", "a")
    eventually(lambda: not agent.running)


def test_a_chain_of_three_starts_when_only_its_last_stream_is_consumed(
    world: World, consume: Consume
) -> None:
    agent = world.agent("n1")
    for name, source, target in (("1", "a", "b"), ("2", "b", "c"), ("3", "c", "d")):
        world.operation(name, source, target, linger_s=0)
    viewer = consume("d")
    eventually(lambda: agent.running == {"1", "2", "3"})
    viewer.close()
    eventually(lambda: {world.state(n) for n in "123"} == {OperationState.IDLE})


def test_a_cycle_with_nobody_outside_stays_idle(world: World) -> None:
    agent = world.agent("n1")
    world.operation("there", "a", "b")
    world.operation("back", "b", "a")
    eventually(lambda: world.state("back") is OperationState.IDLE)
    assert world.state("there") is OperationState.IDLE
    assert not agent.running


def test_a_subscription_is_demand_and_a_tap_is_not(world: World, session: Session) -> None:
    agent = world.agent("n1")
    world.operation("up", "a", "b")
    tap = names.tap_queue("b")
    session.channel.queue_declare(tap, exclusive=True)
    session.channel.queue_bind(tap, "streams.b")
    session.channel.basic_consume(tap, lambda *_: None)
    eventually(lambda: world.state("up") is OperationState.IDLE)
    time.sleep(0.5)  # nothing may happen, so there is nothing to wait for
    assert not agent.running
    session.channel.queue_declare(
        "subscriptions.b.mine", durable=True, arguments={"x-queue-type": "quorum"}
    )
    session.channel.queue_bind("subscriptions.b.mine", "streams.b")
    eventually(lambda: agent.running == {"up"})


def test_what_somebody_deletes_on_the_broker_is_soon_there_again(
    world: World, session: Session
) -> None:
    world.agent("n1")
    world.operation("up", "a", "b")
    eventually(lambda: world.runtime._watch.whole, what="deletions are told")
    management = world.runtime.broker.management
    vhost, user = quote(management.vhost, safe=""), node_user("n1")
    deeds: dict[str, Callable[[], object]] = {
        "a queue": lambda: session.channel.queue_delete(names.operation_queue("up")),
        "an exchange": lambda: session.channel.exchange_delete(names.exchange("b")),
        "a right": lambda: management._send("DELETE", f"/permissions/{vhost}/{user}"),
    }
    for what, deed in deeds.items():
        before = _kept_on(management)
        deed()
        assert _kept_on(management) != before
        eventually(partial(_are_kept_on, management, before), within_s=8, what=what)


def test_what_somebody_is_just_removing_is_not_made_anew(world: World, session: Session) -> None:
    with world.store.created_stream("gone", "admin"):
        world.runtime.broker.create_stream("gone")
    eventually(lambda: world.runtime._watch.whole, what="deletions are told")
    with world.store.removed_stream("gone"):
        world.runtime.broker.delete_stream("gone")
        # who looks now finds it in the store, and not on the broker
        eventually(lambda: world.runtime._upkeep.is_missing, what="its deletion is seen")
    time.sleep(3)  # nothing may happen, so there is nothing to wait for
    assert names.exchange("gone") not in world.runtime.broker.management.exchange_names()


Kept = tuple[set[str], set[str], set[str]]


def _are_kept_on(management: Management, kept: Kept) -> bool:
    return _kept_on(management) == kept


def _kept_on(management: Management) -> Kept:
    queues = {queue["name"] for queue in management.queues()}
    exchanges = {name for name in management.exchange_names() if names.stream_of(name)}
    users = {each["user"] for each in management.permissions()}
    return queues & {names.operation_queue("up")}, exchanges, users


def test_always_paused_and_back(world: World) -> None:
    agent = world.agent("n1")
    world.operation("up", "a", "b", linger_s=0)
    world.store.set_demand("up", DemandMode.ALWAYS)
    world.runtime.poke()
    eventually(lambda: agent.running == {"up"})
    world.store.set_demand("up", DemandMode.PAUSED)
    world.runtime.poke()
    eventually(lambda: not agent.running)
    assert world.state("up") is OperationState.PAUSED


def test_no_node_and_no_fitting_node_are_told_apart(world: World, consume: Consume) -> None:
    world.operation("up", "a", "b")
    consume("b")
    eventually(lambda: world.state("up") is OperationState.STARTING)
    assert world.is_bound("up", "a")
    assert "none is ready" in world.runtime.statuses()["up"].reason
    world.agent("n1", offers="something-else")
    eventually(lambda: world.state("up") is OperationState.FAILED)
    assert "no node offers the application 'test'" in world.runtime.statuses()["up"].reason
    world.agent("n2", offers="test")
    eventually(lambda: world.state("up") is OperationState.RUNNING)


def test_an_agent_is_given_nothing_that_its_node_was_not_added_for(
    world: World, consume: Consume
) -> None:
    # Given somebody with the login of a node that was added for another application
    world.operation("up", "a", "b")
    consume("b")
    stolen = world.agent("n1", offers="test", may_offer="other")
    # When they say that they offer what they like
    eventually(lambda: world.state("up") is OperationState.FAILED)
    # Then they get no operation, and with it no right to read its stream
    assert "no node offers the application 'test'" in world.runtime.statuses()["up"].reason
    assert [node.offers for node in world.runtime.nodes()] == [()]
    assert not stolen.running
    world.agent("n2", offers="test@0123456789ab", may_offer="test")
    eventually(lambda: world.state("up") is OperationState.RUNNING)


def test_a_new_manager_changes_nothing_that_runs(
    world: World, consume: Consume, settings: Settings
) -> None:
    agent = world.agent("n1")
    world.operation("up", "a", "b")
    consume("b")
    eventually(lambda: agent.running == {"up"})
    world.runtime.stop()
    world.runtime = Runtime(settings, world.store)
    world.start()
    eventually(lambda: world.state("up") is OperationState.RUNNING)
    assert agent.running == {"up"}
    assert world.is_bound("up", "a")


def test_new_keys_of_s3_reach_the_agents_and_nothing_is_restarted(
    world: World, session: Session, capfd: pytest.CaptureFixture[str]
) -> None:
    queue = str(session.channel.queue_declare("", exclusive=True).method.queue)
    session.channel.queue_bind(queue, "streams.streamboss.events")
    agent = world.agent("n1")
    world.operation("up", "a", "b", demand=DemandMode.ALWAYS)
    eventually(lambda: agent.running == {"up"})
    assert agent.assignment
    before = agent.assignment.operations[0]
    assert before.objects == ObjectStore()

    keys = S3Access("http://127.0.0.1:9", "r", "an id", "geheim")
    settings = replace(world.settings, s3=keys, object_bucket="outputs", object_threshold_bytes=7)
    world.runtime.stop()
    world.runtime = Runtime(settings, world.store)
    world.start()
    expected = before.model_copy(update={"objects": ObjectStore(keys, "outputs", 7)})
    eventually(lambda: agent.assignment and agent.assignment.operations == (expected,))

    eventually(lambda: world.state("up") is OperationState.RUNNING)
    events = []
    while (event := session.channel.basic_get(queue, auto_ack=True)[2]) is not None:
        events.append(event)
    assert events
    shown = [repr(events), repr(agent.assignment), repr(settings), *capfd.readouterr()]
    assert not [text for text in shown if "geheim" in text]


@pytest.mark.timeout(60)
def test_what_a_lost_node_ran_goes_elsewhere(world: World, consume: Consume) -> None:
    first = world.agent("n1")
    world.operation("up", "a", "b")
    consume("b")
    eventually(lambda: first.running == {"up"})
    second = world.agent("n2")
    first.stop()
    eventually(lambda: second.running == {"up"}, within_s=25)


def test_what_begins_to_work_says_who_wanted_it(world: World, consume: Consume) -> None:
    world.agent("n1")
    world.operation("1", "a", "b")
    world.operation("2", "b", "c")
    eventually(lambda: world.state("2") is OperationState.IDLE)
    consume("c")
    eventually(lambda: world.state("1") is OperationState.RUNNING)
    eventually(lambda: _cause(world, "1") == ["operation 2"])
    (queue,) = eventually(lambda: _cause(world, "2"))
    assert queue.startswith("amq.gen-")


def _cause(world: World, operation: str) -> list[str]:
    told = world.store.page_activity(Asked("operation.state", operation), limit=10, offset=0)
    return next((e.fields["wanted_by"] for e in told.items if "wanted_by" in e.fields), [])


def test_changes_of_state_are_published_as_events(world: World, session: Session) -> None:
    _bind_events(session)
    world.agent("n1")
    world.operation("up", "a", "b", demand=DemandMode.ALWAYS)
    _await_event(session, b'"operation": "up"', b'"to": "running"')


def test_events_that_the_broker_did_not_take_are_said_later(
    world: World, session: Session, broker_node: BrokerNode
) -> None:
    _bind_events(session)
    vhost = urlsplit(world.settings.need_amqp()[0]).path.removeprefix("/")
    user, all_but_events = broker_node.node.user, r"^(?!streams\.streamboss\.).*"
    with broker_node.management(vhost) as management:
        management.put_permissions(user, configure=".*", write=all_but_events, read=".*")
        world.agent("n1")
        world.operation("up", "a", "b", demand=DemandMode.ALWAYS)
        eventually(lambda: world.state("up") is OperationState.RUNNING)
        eventually(lambda: any("streamboss.events" in text for text in world.runtime.problems()))
        management.put_permissions(user, configure=".*", write=".*", read=".*")
    _await_event(session, b'"operation": "up"', b'"to": "running"')
    eventually(lambda: not world.runtime.problems())


def _bind_events(session: Session) -> None:
    session.channel.queue_declare("events", exclusive=True)
    session.channel.queue_bind("events", names.exchange(names.EVENTS_STREAM))


def _await_event(session: Session, *words: bytes) -> None:
    """Read events until one has all these words."""
    for method, _properties, body in session.channel.consume("events", inactivity_timeout=10):
        assert method is not None, f"no event with {words}"
        if all(word in (body or b"") for word in words):
            return


def test_a_redriven_dead_letter_comes_back_without_its_marks(
    world: World, session: Session
) -> None:
    world.operation("up", "a", "b")
    headers = {"x-streamboss-reason": "it failed", "x-streamboss-attempts": 4, "mine": "kept"}
    for number in range(3):
        session.publish(
            "operations.dead", Message(b"%d" % number, headers=headers), routing_key="up"
        )
    broker = world.runtime.broker
    letters = eventually(lambda: broker.dead_letters("up"))
    assert [letter.body for letter in letters] == [b"0", b"1", b"2"]
    assert (letters[0].reason, letters[0].attempts) == ("it failed", 4)
    assert broker.redrive("up", limit=2) == 2
    _, properties, body = session.channel.basic_get("operations.up", auto_ack=True)
    assert body == b"0"
    assert properties is not None
    assert properties.headers is not None
    assert properties.headers["mine"] == "kept"
    assert "x-streamboss-reason" not in properties.headers
    assert broker.purge_dead("up") == 1
    assert broker.purge("up") == 1


def test_of_two_workers_with_the_same_tag_and_queue_one_may_leave(
    world: World, settings: Settings
) -> None:
    agent = world.agent("n1")
    eventually(lambda: world.runtime._watch.whole, what="all demand is known")
    world.operation("up", "a", "b", linger_s=0)
    workers = [Session(settings.need_amqp(), name="worker") for _ in range(2)]
    for worker in workers:
        worker.channel.queue_declare("theirs", auto_delete=True)
        worker.channel.queue_bind("theirs", "streams.b", "one")
        worker.channel.queue_bind("theirs", "streams.b", "two")
        worker.channel.basic_consume("theirs", lambda *_: None, consumer_tag="None1")
    eventually(lambda: agent.running == {"up"})
    eventually(lambda: world.state("up") is OperationState.RUNNING)
    eventually(lambda: world.runtime._watch.view().consumed["theirs"] == 2)
    workers[1].channel.queue_unbind("theirs", "streams.b", "two")
    workers[1].close()
    eventually(lambda: world.runtime._watch.view().consumed["theirs"] == 1)
    assert world.state("up") is OperationState.RUNNING
    assert agent.running == {"up"}
    workers[0].close()
    eventually(lambda: not agent.running)


def test_without_the_right_to_the_event_exchange_the_broker_is_asked(
    settings: Settings, broker_node: BrokerNode, tmp_path: Path, consume: Consume
) -> None:
    user, password = f"confined-{secrets.token_hex(4)}", secrets.token_hex(8)
    vhost = urlsplit(settings.need_amqp()[0]).path.removeprefix("/")
    with broker_node.management(vhost) as management:
        management.put_user(user, password, ["administrator"])
        management.put_permissions(user, configure=".*", write=".*", read=".*")
        host = urlsplit(settings.need_amqp()[0]).netloc.rpartition("@")[2]
        confined = replace(settings, amqp_urls=(f"amqp://{user}:{password}@{host}/{quote(vhost)}",))
        store = Store(f"sqlite:///{tmp_path}/manager.db")
        store.prepare()
        store.create_user("admin", Role.ADMIN, "x")
        world = World(confined, store)
        world.start()
        try:
            agent = world.agent("n1")
            world.operation("up", "a", "b", linger_s=0)
            viewer = consume("b")
            eventually(lambda: agent.running == {"up"}, within_s=30)
            assert not world.runtime.live()
            assert b"streamboss_manager_sees_events 0.0" in world.runtime.metrics()
            viewer.close()
            eventually(lambda: not agent.running, within_s=30)
        finally:
            for each in world.agents:
                each.stop()
            world.runtime.stop()
            store.close()
            management.delete_user(user)
