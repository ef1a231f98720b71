"""Isolation: what an execution shared with no other while it ran."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # NULL: unknown, as for executions of workers of older releases, which call older procedures.
    op.execute(
        "ALTER TABLE executions ADD COLUMN isolation text "
        "CHECK (isolation IN ('context', 'isolate', 'process'))"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE executions DROP COLUMN isolation")
