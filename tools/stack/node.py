"""The stack's own agent: joins through the manager, like any other."""

from pathlib import Path

from tools.stack.progress import Progress
from tools.stack.state import State
from tools.stack.supervisor import Supervisor

NODE = "local"
SLOTS = 200


def join(state: State, place: Path, supervisor: Supervisor, say: Progress) -> None:
    """Run the agent, with a file that fits the broker of now."""
    del state, place, supervisor, say
