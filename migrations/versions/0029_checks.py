"""Checks: scripts and datasets name the schemas that their data must satisfy.

A worker of the release before ignores them: they are named once all workers are of this release. A
downgrade forgets them.
"""

from pathlib import Path

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql"

_KINDS = (
    "script_error",
    "timeout",
    "out_of_memory",
    "invalid_input",
    "invalid_result",
    "output_too_large",
    "unsettled_promise",
    "sandbox_crash",
    "worker_lost",
)
_NEW_KINDS = ("input_schema_mismatch", "output_schema_mismatch")
_CHECKED = (
    ("script_versions", "input", "what `process` and `map` get must satisfy it; NULL: unchecked"),
    ("script_versions", "output", "what they return must satisfy it; NULL: unchecked"),
    ("datasets", "record", "each record must satisfy it; NULL: unchecked"),
    ("runs", "record", "that of the dataset which takes the output, as the run was accepted"),
)


def upgrade() -> None:
    for table, side, comment in _CHECKED:
        op.execute(f"""
            ALTER TABLE {table}
            ADD COLUMN {side}_schema_id uuid,
            ADD COLUMN {side}_schema_version integer,
            ADD CONSTRAINT {table}_{side}_schema_check
                CHECK (num_nulls({side}_schema_id, {side}_schema_version) IN (0, 2)),
            ADD CONSTRAINT {table}_{side}_schema_fkey
                FOREIGN KEY ({side}_schema_id, {side}_schema_version) REFERENCES schema_versions
        """)
        quoted = comment.replace(":", "\\:")
        op.execute(f"COMMENT ON COLUMN {table}.{side}_schema_id IS '{quoted}'")
    for name in ("input_of_execution_v2", "finish_execution_v6"):
        op.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"))
    _allow_kinds(_KINDS + _NEW_KINDS)


def downgrade() -> None:
    op.execute("""
        UPDATE executions SET error_kind = 'invalid_input'
        WHERE error_kind = 'input_schema_mismatch'
    """)
    op.execute("""
        UPDATE executions SET error_kind = 'invalid_result'
        WHERE error_kind = 'output_schema_mismatch'
    """)
    _allow_kinds(_KINDS)
    op.execute("DROP PROCEDURE finish_execution_v6")
    op.execute("DROP FUNCTION input_of_execution_v2")
    for table, side, _ in _CHECKED:
        op.execute(f"""
            ALTER TABLE {table}
            DROP COLUMN {side}_schema_id, DROP COLUMN {side}_schema_version
        """)


def _allow_kinds(kinds: tuple[str, ...]) -> None:
    named = ", ".join(f"'{kind}'" for kind in kinds)
    op.execute("ALTER TABLE executions DROP CONSTRAINT executions_error_kind_check")
    op.execute(f"""
        ALTER TABLE executions ADD CONSTRAINT executions_error_kind_check
        CHECK (error_kind IN ({named}))
    """)
