"""Versions of process definitions; of each one there is, the version that it has just now."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "definition_versions",
        sa.Column("definition_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("by", sa.String(length=100), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["definition_id"],
            ["process_definitions.id"],
            name=op.f("fk_definition_versions_definition_id_process_definitions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("definition_id", "version", name=op.f("pk_definition_versions")),
    )
    op.execute(
        'INSERT INTO definition_versions (definition_id, version, "by", document, created_at)'
        " SELECT id, version, owner, document, created_at FROM process_definitions"
    )


def downgrade() -> None:
    op.drop_table("definition_versions")
