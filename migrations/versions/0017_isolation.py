"""Add isolation: what an execution shared with no other while it ran."""

from pathlib import Path

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    # NULL: unknown, as for executions of workers of older releases, which call older procedures.
    op.execute(
        "ALTER TABLE executions ADD COLUMN isolation text "
        "CHECK (isolation IN ('context', 'isolate', 'process'))"
    )
    for name in ("finish_execution_v3", "finish_executions_v2"):
        op.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("DROP PROCEDURE finish_executions_v2")
    op.execute("DROP PROCEDURE finish_execution_v3")
    op.execute("ALTER TABLE executions DROP COLUMN isolation")
