"""Machines that the manager launches."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "machines",
        sa.Column("node", sa.String(length=100), nullable=False),
        sa.Column("cloud", sa.String(length=100), nullable=False),
        sa.Column("application", sa.String(length=200), nullable=False),
        sa.Column("image", sa.String(length=200), nullable=False),
        sa.Column("size", sa.String(length=100), nullable=False),
        sa.Column("phase", sa.String(length=10), nullable=False),
        sa.Column("why", sa.String(length=1000), nullable=False),
        sa.Column("term", sa.Integer(), nullable=False),
        sa.Column("launched_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("phase_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("handle", sa.String(length=200), nullable=True),
        sa.Column("price_per_hour", sa.Double(), nullable=True),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("idle_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("broken", sa.String(length=1000), nullable=False),
        sa.PrimaryKeyConstraint("node", name=op.f("pk_machines")),
    )
    with op.batch_alter_table("machines", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_machines_ended_at"), ["ended_at"], unique=False)
    op.create_table(
        "breakers",
        sa.Column("cloud", sa.String(length=100), nullable=False),
        sa.Column("image", sa.String(length=200), nullable=False),
        sa.Column("application", sa.String(length=200), nullable=False),
        sa.Column("failed_boots", sa.Integer(), nullable=False),
        sa.Column("console", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("cloud", "image", name=op.f("pk_breakers")),
    )
    op.create_table(
        "lease_warnings",
        sa.Column("cloud", sa.String(length=100), nullable=False),
        sa.Column("handle", sa.String(length=200), nullable=False),
        sa.Column("hours", sa.Integer(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("cloud", "handle", "hours", name=op.f("pk_lease_warnings")),
    )
    with op.batch_alter_table("leases", schema=None) as batch_op:
        batch_op.add_column(sa.Column("manager", sa.String(length=32), nullable=True))
    own = sa.text("UPDATE leases SET manager = :own")
    op.execute(own.bindparams(own=secrets.token_hex(8)))
    with op.batch_alter_table("leases", schema=None) as batch_op:
        batch_op.alter_column("manager", existing_type=sa.String(length=32), nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("leases", schema=None) as batch_op:
        batch_op.drop_column("manager")
    op.drop_table("lease_warnings")
    op.drop_table("breakers")
    with op.batch_alter_table("machines", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_machines_ended_at"))
    op.drop_table("machines")
