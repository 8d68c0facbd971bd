"""What clients send, by its shape."""

from base64 import b64decode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    Field,
    WithJsonSchema,
    model_validator,
)

from manager.model import Role
from manager.options import (
    SHAPE,
    ArchiveOptions,
    Count,
    OperationName,
    OperationOptions,
    StreamName,
    Strict,
    legal,
)
from manager.replays.speed import Speed, SpeedError
from manager.replays.state import ReplayState
from streams.control import ANY_APPLICATION, TRIAL_BYTES
from streams.definition import ProcessDefinition

MAX_ID = 2**31 - 1

_NodeName = Annotated[str, AfterValidator(legal("node")), SHAPE]
_UserName = Annotated[str, AfterValidator(legal("user")), SHAPE]
_Id = Annotated[int, Field(ge=-MAX_ID, le=MAX_ID)]
_Password = Annotated[str, Field(min_length=1, max_length=128)]
#: Wider than S3's own rule: servers differ, and old buckets have capitals.
_Bucket = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{2,62}$")]
_FIRST_DAY, _LAST_DAY = datetime(1970, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


def _in_range(moment: datetime) -> datetime:
    if not _FIRST_DAY <= moment <= _LAST_DAY:
        raise ValueError("must be between the years 1970 and 9999")
    return moment


def _speed(text: str) -> str:
    try:
        return str(Speed.parse(text))
    except SpeedError as error:
        raise ValueError(str(error)) from None


_Time = Annotated[AwareDatetime, Field(strict=False), AfterValidator(_in_range)]
_SPEED_SHAPE = WithJsonSchema(
    {"type": "string", "pattern": r"^(max|real|[1-9][0-9]{0,8}(x|/s))$", "examples": ["10x"]}
)
_Role = Annotated[Role, Field(strict=False)]


class DefinitionBody(Strict):
    """A process definition."""

    definition: ProcessDefinition


class TryBody(Strict):
    """A process definition and the message to try it with: as text, or any bytes as base64."""

    definition: ProcessDefinition
    message: Annotated[str, Field(max_length=TRIAL_BYTES)] | None = None
    message_base64: Annotated[str, Field(max_length=2 * TRIAL_BYTES)] | None = None
    content_type: Annotated[str, Field(max_length=255)] | None = None

    @model_validator(mode="after")
    def _one_message(self) -> Self:
        if self.message is not None and self.message_base64 is not None:
            raise ValueError("message_base64: the message is there as text already")
        try:
            b64decode(self.message_base64 or "", validate=True)
        except ValueError:
            raise ValueError("message_base64: isn't base64") from None
        return self

    @property
    def kind(self) -> str:
        """The message's content type."""
        usual = "text/plain" if self.message_base64 is None else "application/octet-stream"
        return self.content_type or usual

    @property
    def body(self) -> bytes:
        """The message's bytes."""
        if self.message_base64 is not None:
            return b64decode(self.message_base64, validate=True)
        return (self.message or "").encode()


class StreamBody(Strict):
    """A stream."""

    name: StreamName


class ArchiveBody(ArchiveOptions):
    """What is asked of an archive."""


class ReplayBody(Strict):
    """What is asked of a replay. Without `to` it ends with what was published until now."""

    onto: StreamName | None = None
    since: _Time | None = Field(default=None, alias="from")
    to: _Time | None = None
    speed: Annotated[str, AfterValidator(_speed), _SPEED_SHAPE] = "max"
    limit: Count | None = None
    fresh_ids: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.since and self.to and self.since > self.to:
            raise ValueError("from: is after to, nothing is between them")
        return self


class ReplayPatch(Strict):
    """What may change about a replay."""

    state: Literal["paused", "running"]

    @property
    def wanted(self) -> ReplayState:
        """The state that is asked for."""
        return ReplayState(self.state)


class OperationBody(OperationOptions):
    """An operation."""

    name: OperationName
    process_definition_id: _Id
    input_stream: StreamName
    output_stream: StreamName


class OperationPatch(OperationOptions):
    """What may change about an operation; what isn't named stays as it is."""

    process_definition_id: _Id = 1


class NodeBody(Strict):
    """A node."""

    name: _NodeName
    offers: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=100)]],
        Field(min_length=1, max_length=100),
    ] = Field(default_factory=lambda: [ANY_APPLICATION])
    slots: Annotated[int, Field(ge=1, le=10_000)] = 200


class NodePatch(Strict):
    """What may change about a node: whether it takes nothing new."""

    draining: bool


class RenewalBody(Strict):
    """Which clock of a launched machine starts anew: its lease, by hours, or its idle time."""

    clock: Literal["lease", "idle"] = "lease"
    hours: Annotated[float, Field(gt=0, le=87_600, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _one_clock(self) -> Self:
        if (self.clock == "lease") != (self.hours is not None):
            raise ValueError("hours: belong to the clock 'lease', and to no other")
        return self


class BuildBody(Strict):
    """A build that begins: of which appliance, on which cloud, how long its machine may live."""

    name: _NodeName
    appliance: Annotated[str, Field(min_length=1, max_length=100)]
    cloud: Annotated[str, Field(min_length=1, max_length=100)]
    lease_hours: Annotated[float, Field(gt=0, le=87_600, allow_inf_nan=False)]


class BuildStepBody(Strict):
    """A step of a build that begins (`running`), or how it ended."""

    step: Annotated[str, Field(min_length=1, max_length=500)]
    state: Literal["running", "done", "failed"]
    duration_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class BuildEndBody(Strict):
    """How a build ended."""

    state: Literal["done", "unchanged", "failed"]
    image: Annotated[str, Field(max_length=200)] = ""
    reason: Annotated[str, Field(max_length=20_000)] = ""


class UserBody(Strict):
    """A user."""

    name: _UserName
    password: _Password
    role: _Role = Role.USER


class UserPatch(Strict):
    """What may change about a user."""

    password: _Password | None = None
    current_password: Annotated[str, Field(max_length=1000)] | None = None
    role: _Role | None = None
    buckets: Annotated[list[_Bucket], Field(max_length=100)] | None = None


class TokenBody(Strict):
    """A token; `label` says what it is for."""

    label: Annotated[str, Field(max_length=100)] = ""


class StreamRightsBody(Strict):
    """On which streams somebody may publish, and which they may consume, on the broker."""

    publish: Annotated[list[StreamName], Field(max_length=100)] = Field(default_factory=list)
    consume: Annotated[list[StreamName], Field(max_length=100)] = Field(default_factory=list)


class RedriveBody(Strict):
    """Which dead letters to give back, and how many; null is all.

    One by its id; or those that have a text in their reason or stderr.
    """

    limit: Count | None = None
    message_id: Annotated[str, Field(max_length=255)] | None = None
    matching: Annotated[str, Field(max_length=1000)] | None = None


#: Every body, for the OpenAPI schema.
KINDS: Sequence[type[BaseModel]] = (
    DefinitionBody,
    TryBody,
    StreamBody,
    ArchiveBody,
    ReplayBody,
    ReplayPatch,
    OperationBody,
    OperationPatch,
    BuildBody,
    BuildStepBody,
    BuildEndBody,
    NodeBody,
    NodePatch,
    RenewalBody,
    UserBody,
    UserPatch,
    TokenBody,
    StreamRightsBody,
    RedriveBody,
)
