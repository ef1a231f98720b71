"""Add a limit of CPU time beside the one of wall time."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UP = (
    "ALTER TABLE script_versions ADD COLUMN max_cpu_ms integer",
    "ALTER TABLE executions ADD COLUMN max_cpu_ms integer CHECK (max_cpu_ms > 0)",
    # A run is single-threaded: so far its limit of wall time limited its CPU time, too.
    "UPDATE executions SET max_cpu_ms = wall_ms",
    "ALTER TABLE executions ALTER COLUMN max_cpu_ms SET NOT NULL",
)
DOWN = (
    "ALTER TABLE executions DROP COLUMN max_cpu_ms",
    "ALTER TABLE script_versions DROP COLUMN max_cpu_ms",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
