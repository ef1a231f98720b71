"""Add params: JSON that a submission brings beside its data."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UP = (
    "ALTER TABLE payloads DROP CONSTRAINT payloads_kind_check",
    """
    ALTER TABLE payloads ADD CONSTRAINT payloads_kind_check
        CHECK (kind IN ('input', 'params', 'result', 'logs'))
    """,
)

DOWN = (
    "DELETE FROM payloads WHERE kind = 'params'",
    "ALTER TABLE payloads DROP CONSTRAINT payloads_kind_check",
    """
    ALTER TABLE payloads ADD CONSTRAINT payloads_kind_check
        CHECK (kind IN ('input', 'result', 'logs'))
    """,
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
