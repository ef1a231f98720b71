"""Claims ahead: executions that a worker holds and has not begun."""

from pathlib import Path

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    op.execute("ALTER TABLE executions ADD COLUMN held boolean NOT NULL DEFAULT false")
    op.execute(
        "COMMENT ON COLUMN executions.held IS "
        "'claimed ahead, and not reported as begun: a rescue counts no attempt'"
    )
    # 0016 of a database from before this migration may have loaded another text.
    op.execute("DROP PROCEDURE finish_executions_v1")
    for name in ("claim_executions_v3", "finish_execution_v3", "finish_executions_v1"):
        op.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("DROP PROCEDURE finish_execution_v3")
    op.execute("DROP FUNCTION claim_executions_v3")
    op.execute("ALTER TABLE executions DROP COLUMN held")
