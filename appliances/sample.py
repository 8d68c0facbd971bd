"""A message through a program on a machine: agent, broker and program together."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from appliances.errors import BuildError
from appliances.recipe import Sample
from appliances.services import Services, wait_for_operation
from provision.waiting import wait_until
from streams import names
from streams.broker import Channel, Session
from streams.message import Message

_ANSWER_S, _RUNNING_S = 60.0, 60.0
_TEXT = "text/plain"


def send(services: Services, sample: Sample, *, application: str, node: str) -> None:
    """Send a recipe's sample through its program on `node`; all that it takes is removed again.

    Raises:
        BuildError: another answer came.
        ProvisionError: the operation can't run there, or nothing came in time.
    """
    with (
        _operation(services, sample, application=application) as operation,
        Session(services.amqp_urls, name="boot test") as session,
    ):
        queue = session.call(lambda channel: _collect(channel, f"{operation}-out"))
        wait_for_operation(services.manager, operation, node, timeout_s=_RUNNING_S)
        message = Message(sample.input.encode(), content_type=_TEXT)
        session.publish(names.exchange(f"{operation}-in"), message)
        got = wait_until(
            lambda: session.call(lambda channel: channel.basic_get(queue, auto_ack=True)[2]),
            what=f"an answer of {sample.exec!r}",
            timeout_s=_ANSWER_S,
            interval_s=0.1,
        )
    if got != sample.output.encode():
        shown = got[:200].decode(errors="replace")
        raise BuildError(f"sample: {sample.exec!r} made {shown!r} of {sample.input!r}")


@contextmanager
def _operation(services: Services, sample: Sample, *, application: str) -> Iterator[str]:
    """Make an operation that runs whether somebody consumes or not, and its streams."""
    manager, name = services.manager, f"boot-test-{secrets.token_hex(4)}"
    definition = {"name": name, "application": application, "exec": sample.exec}
    with ExitStack() as undo:
        number = manager.register({"definition": definition}, temporary=True)
        undo.callback(manager.delete, "definitions", number)
        for stream in (f"{name}-in", f"{name}-out"):
            manager.create_stream(stream)
            undo.callback(manager.delete, "streams", stream)
        manager.create_operation(name, number, f"{name}-in", f"{name}-out", demand="always")
        undo.callback(manager.delete, "operations", name)
        yield name


def _collect(channel: Channel, stream: str) -> str:
    queue = names.tap_queue(stream)
    channel.queue_declare(queue, exclusive=True, auto_delete=True)
    channel.queue_bind(queue, names.exchange(stream))
    return queue
