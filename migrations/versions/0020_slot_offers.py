"""Slot offers: an acceptance hands its execution over to a worker that has a slot free.

The offers live for seconds, and each is made again: the table is unlogged.
"""

from pathlib import Path

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    op.execute("""
        CREATE UNLOGGED TABLE slot_offers (
            worker_id        uuid NOT NULL,
            slot             smallint NOT NULL,
            max_memory_bytes bigint,
            expires_at       timestamptz NOT NULL,
            PRIMARY KEY (worker_id, slot)
        ) WITH (fillfactor = 20)
    """)
    op.execute(
        "COMMENT ON TABLE slot_offers IS 'idle slots of workers, which acceptances may fill'"
    )
    op.execute(
        "COMMENT ON COLUMN slot_offers.max_memory_bytes IS "
        "'the highest memory limit it has room for; NULL is any'"
    )
    for name in ("hand_over_execution_v1", "begin_execution_v1"):
        op.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("DROP FUNCTION begin_execution_v1")
    op.execute("DROP FUNCTION hand_over_execution_v1")
    op.execute("DROP TABLE slot_offers")
