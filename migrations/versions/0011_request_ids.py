"""Add the id of the request that an execution came with, for the log line of its end."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Of the lengths that app/http accepts; NULL if an older release accepted the execution.
    op.execute(
        """
        ALTER TABLE executions
            ADD COLUMN request_id text CHECK (length(request_id) BETWEEN 1 AND 128)
        """
    )


def downgrade() -> None:
    op.execute("ALTER TABLE executions DROP COLUMN request_id")
