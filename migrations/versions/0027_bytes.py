"""Bytes: versions whose scripts get and return bytes, and media types of payloads.

A worker of the release before runs any version over JSON: versions of `io` bytes are uploaded once
all workers are of this release. A downgrade keeps them, and their executions fail.
"""

from pathlib import Path

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql"

_FUNCTIONS = ("accept_batch_v2", "accept_executions_v3", "input_of_execution_v1")


def upgrade() -> None:
    op.execute("""
        ALTER TABLE script_versions
        ADD COLUMN io text NOT NULL DEFAULT 'json' CHECK (io IN ('json', 'bytes'))
    """)
    for table in ("payloads", "batch_inputs"):
        op.execute(f"""
            ALTER TABLE {table}
            ADD COLUMN media_type text CHECK (octet_length(media_type) BETWEEN 3 AND 255)
        """)
        op.execute(f"COMMENT ON COLUMN {table}.media_type IS 'NULL: not of bytes'")
    op.execute("COMMENT ON COLUMN script_versions.io IS 'what `process` gets and returns'")
    for name in (*_FUNCTIONS, "finish_execution_v5"):
        op.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("DROP PROCEDURE finish_execution_v5")
    for name in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}")
    for table in ("payloads", "batch_inputs"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN media_type")
    op.execute("ALTER TABLE script_versions DROP COLUMN io")
