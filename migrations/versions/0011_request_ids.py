"""Request ids: which request an execution was accepted from, for the log line of its end."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # As app/http/requests.py lets them in; null where the release before this one accepted it.
    op.execute(
        """
        ALTER TABLE executions
            ADD COLUMN request_id text CHECK (length(request_id) BETWEEN 1 AND 128)
        """
    )


def downgrade() -> None:
    op.execute("ALTER TABLE executions DROP COLUMN request_id")
