"""Add the trace context in which an execution was accepted, for the worker that runs it."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The value of the header traceparent in W3C Trace Context (level 1).
    op.execute(
        """
        ALTER TABLE executions
            ADD COLUMN traceparent text CHECK (octet_length(traceparent) = 55)
        """
    )


def downgrade() -> None:
    op.execute("ALTER TABLE executions DROP COLUMN traceparent")
