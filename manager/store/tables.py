"""The manager's tables. A change here needs a migration; a test compares the two."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Instant(TypeDecorator[datetime]):
    """A moment, always UTC. SQLite keeps no time zones, so it is taken off and put on here."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return what the database keeps."""
        del dialect
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the moment in UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    """Return this moment."""
    return datetime.now(UTC)


#: SQLite counts by itself in a column of its one INTEGER type only.
_BigId = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """What all tables share: constraints with names, so that migrations can drop them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UserRow(Base):
    """Somebody who may log in."""

    __tablename__ = "users"
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    role: Mapped[str] = mapped_column(String(10))
    password_hash: Mapped[str] = mapped_column(String(200))
    #: those from which their operations may fetch what references name
    buckets: Mapped[list[str]] = mapped_column(JSON, default=list)
    created_at: Mapped[datetime] = mapped_column(Instant, default=now)


class TokenRow(Base):
    """A token that logs a user in, known only by its hash."""

    __tablename__ = "tokens"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_name: Mapped[str] = mapped_column(ForeignKey("users.name", ondelete="CASCADE"), index=True)
    label: Mapped[str] = mapped_column(String(100), default="")
    created_at: Mapped[datetime] = mapped_column(Instant, default=now)
    used_at: Mapped[datetime | None] = mapped_column(Instant)


class SessionRow(Base):
    """A browser that is logged in, known only by the hash of its cookie."""

    __tablename__ = "sessions"
    session_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_name: Mapped[str] = mapped_column(ForeignKey("users.name", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(Instant, default=now)
    seen_at: Mapped[datetime] = mapped_column(Instant, default=now, index=True)


class ActivityRow(Base):
    """Something that happened; never changed, but for `told`: whether the stream of events has it.

    `name` is what it happened to, `by` the person who did it, empty where nobody did.
    """

    __tablename__ = "activity"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own spelling
    id: Mapped[int] = mapped_column(_BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant, index=True)
    event: Mapped[str] = mapped_column(String(60), index=True)
    name: Mapped[str] = mapped_column(String(210), index=True)
    by: Mapped[str] = mapped_column(String(100), index=True)
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    told: Mapped[bool] = mapped_column(index=True, default=False)


class DefinitionRow(Base):
    """A process definition. Ids are never given twice, also after a removal."""

    __tablename__ = "process_definitions"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own spelling
    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(default=1)
    owner: Mapped[str] = mapped_column(String(100), index=True)
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Instant, default=now)


class DefinitionVersionRow(Base):
    """What a definition was made into, by whom; never changed. The latest is the definition's own.

    `by` is a name, not a key: it stays when that user goes.
    """

    __tablename__ = "definition_versions"
    definition_id: Mapped[int] = mapped_column(
        ForeignKey("process_definitions.id", ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(primary_key=True)
    by: Mapped[str] = mapped_column(String(100))
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Instant, default=now)
    of: Mapped[DefinitionRow] = relationship(lazy="joined", innerjoin=True)


class StreamRow(Base):
    """A stream; `owner` is empty for the manager's own."""

    __tablename__ = "streams"
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    owner: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(Instant, default=now)


class OperationRow(Base):
    """An operation. The foreign keys are what keeps streams and definitions in use alive."""

    __tablename__ = "operations"
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    owner: Mapped[str] = mapped_column(String(100))
    process_definition_id: Mapped[int] = mapped_column(
        ForeignKey("process_definitions.id"), index=True
    )
    input_stream: Mapped[str] = mapped_column(ForeignKey("streams.name"), index=True)
    output_stream: Mapped[str] = mapped_column(ForeignKey("streams.name"), index=True)
    revision: Mapped[int] = mapped_column(default=1)
    demand: Mapped[str] = mapped_column(String(10))
    instances_min: Mapped[int]
    instances_max: Mapped[int]
    linger_s: Mapped[float]
    drain_s: Mapped[float]
    backlog: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Instant, default=now)


class ArchiveRow(Base):
    """A stream's archive: what was asked of it, and what it holds."""

    __tablename__ = "archives"
    stream: Mapped[str] = mapped_column(ForeignKey("streams.name"), primary_key=True)
    owner: Mapped[str] = mapped_column(String(100))
    phase: Mapped[str] = mapped_column(String(10))
    passive: Mapped[bool]
    keep_days: Mapped[float | None]
    problem: Mapped[str] = mapped_column(String(1000), default="")
    segments: Mapped[int] = mapped_column(BigInteger, default=0)
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    first_position: Mapped[int] = mapped_column(BigInteger, default=0)
    next_position: Mapped[int] = mapped_column(BigInteger, default=0)
    first_at: Mapped[datetime | None] = mapped_column(Instant)
    last_at: Mapped[datetime | None] = mapped_column(Instant)
    last_key: Mapped[str | None] = mapped_column(String(300))
    swept_at: Mapped[datetime | None] = mapped_column(Instant)
    #: what the mark says that ends it, while it is stopping
    end_mark: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(Instant, default=now)


class ReplayRow(Base):
    """A replay: what was asked, how far it is, and who plays it until when (database clock)."""

    __tablename__ = "replays"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    stream: Mapped[str] = mapped_column(ForeignKey("streams.name", ondelete="CASCADE"), index=True)
    onto: Mapped[str] = mapped_column(String(100))
    owner: Mapped[str] = mapped_column(String(100))
    since_us: Mapped[int | None] = mapped_column(BigInteger)
    until_us: Mapped[int | None] = mapped_column(BigInteger)
    speed: Mapped[str] = mapped_column(String(40))
    most_messages: Mapped[int | None] = mapped_column(BigInteger)
    fresh_ids: Mapped[bool]
    state: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str] = mapped_column(String(1000), default="")
    position: Mapped[str | None] = mapped_column(String(400))
    messages: Mapped[int] = mapped_column(BigInteger, default=0)
    repeats: Mapped[int] = mapped_column(BigInteger, default=0)
    problems: Mapped[list[str]] = mapped_column(JSON, default=list)
    holder: Mapped[str | None] = mapped_column(String(200))
    held_until_s: Mapped[float] = mapped_column(default=0.0)
    created_at: Mapped[datetime] = mapped_column(Instant, default=now)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)


class NodeRow(Base):
    """A node that was added; `draining`: a person wants it to take nothing new.

    `offers` are the applications that it may offer.
    """

    __tablename__ = "nodes"
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    owner: Mapped[str] = mapped_column(String(100))
    added_at: Mapped[datetime] = mapped_column(Instant, default=now)
    draining: Mapped[bool] = mapped_column(default=False)
    offers: Mapped[list[str]] = mapped_column(JSON)


class MachineRow(Base):
    """A machine that was launched, by its name as a node; kept a while after its end."""

    __tablename__ = "machines"
    node: Mapped[str] = mapped_column(String(100), primary_key=True)
    cloud: Mapped[str] = mapped_column(String(100))
    application: Mapped[str] = mapped_column(String(200))
    image: Mapped[str] = mapped_column(String(200))
    size: Mapped[str] = mapped_column(String(100))
    phase: Mapped[str] = mapped_column(String(10))
    why: Mapped[str] = mapped_column(String(1000))
    term: Mapped[int]
    launched_at: Mapped[datetime] = mapped_column(Instant)
    phase_at: Mapped[datetime] = mapped_column(Instant)
    ends_at: Mapped[datetime] = mapped_column(Instant)
    handle: Mapped[str | None] = mapped_column(String(200))
    price_per_hour: Mapped[float | None]
    ready_at: Mapped[datetime | None] = mapped_column(Instant)
    idle_since: Mapped[datetime | None] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant, index=True)
    broken: Mapped[str] = mapped_column(String(1000))


class BreakerRow(Base):
    """An image whose machines failed to boot: how often in a row, and what the last one wrote."""

    __tablename__ = "breakers"
    cloud: Mapped[str] = mapped_column(String(100), primary_key=True)
    image: Mapped[str] = mapped_column(String(200), primary_key=True)
    application: Mapped[str] = mapped_column(String(200))
    failed_boots: Mapped[int]
    console: Mapped[str] = mapped_column(Text, default="")


class LeaseWarningRow(Base):
    """That a machine's lease ends within so many hours was said, of this end."""

    __tablename__ = "lease_warnings"
    cloud: Mapped[str] = mapped_column(String(100), primary_key=True)
    handle: Mapped[str] = mapped_column(String(200), primary_key=True)
    hours: Mapped[int] = mapped_column(primary_key=True)
    ends_at: Mapped[datetime] = mapped_column(Instant)


class LeaseRow(Base):
    """Which manager leads: one row. `until_s` is in seconds since 1970 by the database's clock.

    `manager` stands for this database on the clouds: machines that carry it were launched by those
    who lead here.
    """

    __tablename__ = "leases"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    holder: Mapped[str | None] = mapped_column(String(200))
    term: Mapped[int]
    until_s: Mapped[float]
    manager: Mapped[str] = mapped_column(String(32))
