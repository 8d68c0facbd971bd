"""`try --on-node`: the program runs on a node that offers its application, before it is saved."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from typing import Any

from streams.definition import ProcessDefinition
from tools import console


def try_on_node(
    definition: ProcessDefinition,
    messages: Iterable[bytes | None],
    kind: str,
    write: Callable[[bytes], None],
    *,
    as_json: bool,
) -> int:
    """Have each message tried on a node; return the exit status. Raises ManagerError."""
    well = True
    with console.manager() as manager:
        for body in messages:
            if body is None:
                continue
            asked = {
                "definition": definition.to_mapping(),
                "message_base64": b64encode(body).decode(),
                "content_type": kind,
            }
            told = manager.try_definition(asked)
            well = well and told["ok"]
            if as_json:
                console.put(json.dumps(told))
            else:
                _tell(told, write)
    return 0 if well else 1


def _tell(told: dict[str, Any], write: Callable[[bytes], None]) -> None:
    """Answers on stdout, the rest on stderr."""
    for output in told["outputs"]:
        shown = b64decode(output["body_base64"])
        write(shown)
        if len(shown) < output["size_bytes"]:
            console.say(f"note: {len(shown)} of {output['size_bytes']} bytes are shown")
    if len(told["outputs"]) < told["output_messages"]:
        console.say(f"note: {len(told['outputs'])} of {told['output_messages']} messages are shown")
    if told["stderr"]:
        console.say(told["stderr"].rstrip("\n"))
    if not told["ok"]:
        console.say(f"failed: {told['reason']}: {told['outcome']}")
    status = f", exit status {told['exit_status']}" if told["exit_status"] is not None else ""
    console.say(f"on node {told['node']}: {told['duration_s']:.3f} s{status}")
