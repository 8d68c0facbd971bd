"""What may be said of an operation, checked alike over HTTP and in files of pipelines."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from manager.model import DemandMode
from streams.names import Kind, name_problem

#: RabbitMQ's longest message TTL: 32 bits of milliseconds
_MAX_AGE_S = 4_294_967
_DAY_S = 86_400


def legal(kind: Kind) -> Callable[[str], str]:
    """Return what refuses the illegal names of a kind."""
    return partial(_legal, kind)


def _legal(kind: Kind, name: str) -> str:
    if text := name_problem(kind, name):
        raise ValueError(text)
    return name


SHAPE = WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"})
StreamName = Annotated[str, AfterValidator(legal("stream")), SHAPE]
OperationName = Annotated[str, AfterValidator(legal("operation")), SHAPE]
Count = Annotated[int, Field(ge=1, le=10**12)]
_Demand = Annotated[DemandMode, Field(strict=False)]
_Seconds = Annotated[float, Field(ge=0, le=30 * _DAY_S, allow_inf_nan=False)]


class Strict(BaseModel):
    """Takes nothing that it doesn't know, and converts nothing."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class InstancesBody(Strict):
    """How many operators an operation may have."""

    min: Annotated[int, Field(ge=1, le=1000)] = 1
    max: Annotated[int, Field(ge=1, le=1000)] = 1

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max < self.min:
            raise ValueError(f"max must be at least min ({self.min})")
        return self


class BacklogBody(Strict):
    """What an operation's queue may hold before it drops its oldest; null is no bound."""

    max_messages: Count | None = None
    max_bytes: Count | None = None
    max_age_s: Annotated[float, Field(gt=0, le=_MAX_AGE_S, allow_inf_nan=False)] | None = None


class ArchiveOptions(Strict):
    """What may change about an archive at any time; `keep_days` null keeps everything."""

    passive: bool = False
    keep_days: Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)] | None = None


class OperationOptions(Strict):
    """What may change about an operation at any time."""

    demand: _Demand = DemandMode.CONSUMERS
    instances: InstancesBody = InstancesBody()
    linger_s: _Seconds = 30.0
    drain_s: _Seconds = 30.0
    backlog: BacklogBody | None = None
