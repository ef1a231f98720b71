"""Batches: several acceptances, and several outcomes, in one statement each."""

from pathlib import Path

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    for name in ("finish_executions_v1", "accept_executions_v1"):
        op.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("DROP FUNCTION accept_executions_v1")
    op.execute("DROP PROCEDURE finish_executions_v1")
