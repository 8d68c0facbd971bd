"""First tables."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=True),
        sa.Column("term", sa.Integer(), nullable=False),
        sa.Column("until_s", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leases")),
    )
    op.create_table(
        "nodes",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_nodes")),
    )
    op.create_table(
        "process_definitions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_process_definitions")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("process_definitions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_process_definitions_owner"), ["owner"], unique=False)

    op.create_table(
        "streams",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_streams")),
    )
    op.create_table(
        "users",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_users")),
    )
    op.create_table(
        "operations",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("process_definition_id", sa.Integer(), nullable=False),
        sa.Column("input_stream", sa.String(length=100), nullable=False),
        sa.Column("output_stream", sa.String(length=100), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("demand", sa.String(length=10), nullable=False),
        sa.Column("instances_min", sa.Integer(), nullable=False),
        sa.Column("instances_max", sa.Integer(), nullable=False),
        sa.Column("linger_s", sa.Double(), nullable=False),
        sa.Column("drain_s", sa.Double(), nullable=False),
        sa.Column("backlog", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["input_stream"], ["streams.name"], name=op.f("fk_operations_input_stream_streams")
        ),
        sa.ForeignKeyConstraint(
            ["output_stream"], ["streams.name"], name=op.f("fk_operations_output_stream_streams")
        ),
        sa.ForeignKeyConstraint(
            ["process_definition_id"],
            ["process_definitions.id"],
            name=op.f("fk_operations_process_definition_id_process_definitions"),
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_operations")),
    )
    with op.batch_alter_table("operations", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_operations_input_stream"), ["input_stream"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_operations_output_stream"), ["output_stream"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_operations_process_definition_id"),
            ["process_definition_id"],
            unique=False,
        )

    op.create_table(
        "tokens",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_name", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_name"],
            ["users.name"],
            name=op.f("fk_tokens_user_name_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_tokens")),
    )
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tokens_user_name"), ["user_name"], unique=False)

    streams = sa.table("streams", sa.column("name"), sa.column("owner"), sa.column("created_at"))
    op.bulk_insert(
        streams,
        [{"name": "streamboss.events", "owner": "", "created_at": datetime.now(UTC)}],
    )
    leases = sa.table("leases", sa.column("id"), sa.column("term"), sa.column("until_s"))
    op.bulk_insert(leases, [{"id": 1, "term": 0, "until_s": 0.0}])


def downgrade() -> None:
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_tokens_user_name"))

    op.drop_table("tokens")
    with op.batch_alter_table("operations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_operations_process_definition_id"))
        batch_op.drop_index(batch_op.f("ix_operations_output_stream"))
        batch_op.drop_index(batch_op.f("ix_operations_input_stream"))

    op.drop_table("operations")
    op.drop_table("users")
    op.drop_table("streams")
    with op.batch_alter_table("process_definitions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_process_definitions_owner"))

    op.drop_table("process_definitions")
    op.drop_table("nodes")
    op.drop_table("leases")
