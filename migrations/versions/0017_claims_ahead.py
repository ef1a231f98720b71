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
    op.execute((_SQL / "claim_executions_v3.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("DROP FUNCTION claim_executions_v3")
    op.execute("ALTER TABLE executions DROP COLUMN held")
