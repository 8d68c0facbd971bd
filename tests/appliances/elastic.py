"""Operations whose machines come with demand, as a person at a desk sees them."""

from collections.abc import Mapping
from typing import Any

from tests.appliances.desk import Desk
from tests.embedded import Listener
from tests.eventually import eventually

#: A machine boots, also on a busy computer.
BOOT_S = 180.0
#: A machine is drained, idle, terminated.
GONE_S = 120.0


class Fleet:
    """A person's operations, and the machines that the manager launched for them."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.person = desk, desk.person()

    def operation(self, name: str, application: str = "stream-agent", **more: Any) -> None:
        """Make an operation that turns `<name>-in` into `<name>-out` in capitals."""
        known = ("order", "exec", "concurrency")
        definition = {"exec": "tr [a-z] [A-Z]", **{k: more.pop(k) for k in known if k in more}}
        number = self.person.register(name=name, application=application, **definition)
        self.person.http(
            "POST",
            "operations/",
            {
                "name": name,
                "process_definition_id": number,
                "input_stream": f"{name}-in",
                "output_stream": f"{name}-out",
                "linger_s": 1.0,
                **more,
            },
        )

    def consume(self, name: str, *arguments: str) -> Listener:
        """Consume an operation's output, and wait until its input is collected."""
        listener = self.person.consume(f"{name}-out", *arguments)
        eventually(lambda: self.state(name) != "idle", within_s=60, what=f"{name} is wanted")
        return listener

    def publish(self, name: str, *messages: str) -> None:
        """Publish messages to an operation."""
        text = "".join(f"{message}\n" for message in messages)
        self.person.run("publish.py", f"{name}-in", stdin=text)

    def state(self, name: str) -> str:
        """Return an operation's state."""
        return self.person.state(name)

    def reason(self, name: str) -> str:
        """Return why it is in that state."""
        return str(self.person.http("GET", f"operations/{name}/")["reason"])

    def machines(self) -> list[Mapping[str, Any]]:
        """Return the nodes that are machines which the manager launched."""
        return [n for n in self.person.http("GET", "nodes/")["objects"] if n["cloud"]]

    def phases(self) -> list[str]:
        """Return what happened to machines, the oldest first."""
        events = self.person.http("GET", "activity/?kind=machine.phase&limit=1000")["objects"]
        return [f"{e['machine']} {e['to']}" for e in reversed(events)]

    def until_gone(self) -> None:
        """Wait until no machine is left, neither here nor on the cloud."""
        eventually(
            lambda: not self.machines() and not self.desk.left(),
            within_s=GONE_S,
            what="all machines are gone",
        )

    def remove(self, *names: str) -> None:
        """Let nobody consume any more, and remove the operations."""
        self.person.leave()
        for name in names:
            self.person.run("remove_operation.py", name)
