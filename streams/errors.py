"""Expected failures. Each one's text is fit for a person: what is wrong, where, what to do."""

from collections.abc import Sequence


class StreamsError(Exception):
    """An expected failure: tools print its text and exit 1, the API answers with it."""


class InvalidNameError(StreamsError):
    """A stream, operation or subscription name that the broker contract doesn't allow."""


class SettingsError(StreamsError):
    """Settings that are missing or can't be read; names every one at once."""


class FramingError(StreamsError):
    """Bytes that don't follow their framing."""


class ControlError(StreamsError):
    """A control message that can't be understood."""


class DefinitionError(StreamsError):
    """A process definition with problems; `problems` holds one line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(self.problems))


class ObjectReferenceError(StreamsError):
    """An object reference that can't be understood; names every problem."""


class ObjectError(StreamsError):
    """S3 said no, or nothing at all."""


class ObjectMissingError(ObjectError):
    """The object or its bucket doesn't exist. Waiting doesn't help."""


class ObjectDamagedError(ObjectError):
    """The object isn't the one that was named: another size or another content."""


class ObjectRefusedError(ObjectError):
    """S3 refused the login or the right to do this."""


class ObjectLoginError(ObjectRefusedError):
    """The login or the address itself is wrong: it isn't about this object, none is reached."""


class ObjectCancelledError(ObjectError):
    """Whoever asked for the object no longer wants it."""


class ObjectsUnreachableError(ObjectError):
    """No answer, or none in time, or "try again later". Waiting may help."""


class ArchiveKeyError(StreamsError):
    """A key that isn't a segment's."""


class SegmentDamagedError(StreamsError):
    """A segment of an archive that can't be read to its end."""


class BrokerError(StreamsError):
    """The broker said no, or nothing at all."""


class BrokerUnreachableError(BrokerError):
    """No answer from any address within the time allowed. Waiting may help."""


class BrokerRefusedError(BrokerError):
    """The broker refused the login or the right to do this. Waiting doesn't help."""


class BrokerForbiddenError(BrokerRefusedError):
    """The broker let us in, but not do this: it would say so again and again."""


class StreamMissingError(BrokerError):
    """The stream's exchange doesn't exist."""


class QueueMissingError(BrokerError):
    """A queue that should be there doesn't exist."""


class QueueLockedError(BrokerError):
    """Another connection, perhaps a dead one that the broker still believes in, owns the queue."""


class TopologyConflictError(BrokerError):
    """An exchange or queue of that name exists with other properties."""
