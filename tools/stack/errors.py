"""What can go wrong with the embedded stack, in words for whoever typed the command."""

from streams.errors import StreamsError


class StackError(StreamsError):
    """The stack couldn't be started, found or stopped."""


class PortTakenError(StackError):
    """Somebody else listens on a port of ours: choose again."""

    def __init__(self, part: str) -> None:
        super().__init__(f"{part}: a port was taken by another program")
        self.part = part
