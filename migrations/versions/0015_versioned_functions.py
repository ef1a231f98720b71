"""Versioned functions: every function that code calls carries a version.

From here on the text of each function and procedure is a file of migrations/sql, one a file, which
a migration loads. A file that a release has shipped never changes: a new text is a new version, in
a new file, loaded by a new migration. The functions without a version stay for one release.
"""

from pathlib import Path

from alembic import context, op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql"

# Callees before callers: PostgreSQL checks the bodies of functions in SQL as it creates them.
FILES = (
    "refuse_version_change",
    "refuse_audit_change",
    "count_access_change",
    "usage_shard",
    "utc_today",
    "count_queued",
    "count_bytes",
    "keep_queue",
    "faded",
    "claim_executions_v2",
    "claim_executions",
    "finish_execution",
    "finish_execution_v2",
    "quota_against_execution_v2",
    "quota_against_execution",
    "quota_against_upload_v2",
    "quota_against_upload",
    "hold_quota_of_bytes",
)

# The functions that do something else since, and the migrations that had created them. The others
# differ in comments and in the names of variables.
_BEFORE = {
    "quota_against_execution": "0004",
    "quota_against_upload": "0004",
    "claim_executions": "0005",
    "hold_quota_of_bytes": "0012",
}


def upgrade() -> None:
    for name in FILES:
        op.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    for name, created_by in _BEFORE.items():
        [text] = (
            text
            for text in context.script.get_revision(created_by).module.UP
            if f"CREATE FUNCTION {name}(" in text
        )
        op.execute(text.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1))
    op.execute("DROP FUNCTION quota_against_upload_v2(uuid, bigint, bigint, bigint)")
    op.execute("DROP FUNCTION quota_against_execution_v2(uuid, bigint, bigint, bigint, bigint)")
