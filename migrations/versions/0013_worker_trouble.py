"""Add what keeps a worker from running executions, for readiness to report."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE workers ADD COLUMN trouble text")


def downgrade() -> None:
    op.execute("ALTER TABLE workers DROP COLUMN trouble")
