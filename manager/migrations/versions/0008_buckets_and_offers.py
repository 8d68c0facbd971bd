"""The buckets that each user's operations may read: none; what each node may offer: anything."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
#: table, column, and what was so before
_ADDED = (("users", "buckets", "[]"), ("nodes", "offers", '["any"]'))


def upgrade() -> None:
    for table, column, before in _ADDED:
        with op.batch_alter_table(table) as batch:
            default = sa.text(f"'{before}'")
            batch.add_column(sa.Column(column, sa.JSON(), nullable=False, server_default=default))
        with op.batch_alter_table(table) as batch:
            batch.alter_column(column, server_default=None)


def downgrade() -> None:
    for table, column, _ in _ADDED:
        with op.batch_alter_table(table) as batch:
            batch.drop_column(column)
