"""Pushed outcomes: a small outcome goes to the readers that wait with its notification."""

from pathlib import Path

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    op.execute((_SQL / "finish_execution_v3.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("DROP PROCEDURE finish_execution_v3")
