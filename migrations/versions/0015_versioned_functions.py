"""Versioned functions: every function that code calls carries a version.

From here on the text of each function and procedure is a file of migrations/sql, one a file, which
a migration loads. A file that a release has shipped never changes: a new text is a new version, in
a new file, loaded by a new migration. The functions without a version stay for one release. Tables
get comments, for readers of the schema.
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

_TABLES = {
    "access_generation": "one row: counts the changes of API keys and tenants",
    "api_keys": "API keys; of a secret only its hash",
    "audit_log": "changes by operators and callers; append-only",
    "executions": "executions: what was accepted, how it runs, how it ended",
    "installation": "one row: the id that tells this installation's blobs from another's",
    "payloads": "inputs, params, results and logs, or where they are in the blob store",
    "queue": "the queued executions, in the order of claims; kept by triggers on executions",
    "request_counts": "requests that each API process has admitted, for shared rate limits",
    "retention_duties": "how far each periodic task of retention has come",
    "script_aliases": "names for versions of a script",
    "script_versions": "the sources of scripts; immutable",
    "scripts": "scripts: what their versions have in common",
    "tenant_shares": "worker-seconds that each tenant has used; claims take turns by them",
    "tenant_usage": "counters for quotas, in shards; kept by triggers on executions and payloads",
    "tenants": "tenants and their caps",
    "workers": "worker processes and when each was last seen",
}

_COLUMNS = {
    "api_keys.last_used_at": "approximate: written at intervals",
    "audit_log.target": "the id or name of the thing that changed",
    "audit_log.tenant_id": "the tenant of the thing that changed",
    "executions.clock_ms": "what the script's clock shows, in ms since 1970",
    "executions.error": "ASCII JSON: text of scripts may hold what PostgreSQL's text refuses",
    "executions.lease_token": "fences reports of a claim; negative: cancelled while it ran",
    "executions.run_ms": "wall time of the last run",
    "executions.seed": "seed of the script's random numbers",
    "executions.traceparent": "W3C Trace Context of the acceptance",
    "executions.warnings": "what the result lost on its way to JSON; ASCII JSON",
    "payloads.blob_key": "where the bytes are in the blob store, if not in body",
    "payloads.erased_at": "when the bytes were erased; hash and size stay for the receipt",
    "queue.memory_bytes": "the execution's limit",
    "retention_duties.id": "where the next step goes on",
    "script_versions.wall_ms": "a limit that is NULL is the default of the installation",
    "tenant_shares.active": "has something queued or running",
    "tenant_shares.mean_seconds": "moving average of what an execution took",
    "tenant_shares.used_seconds": "as of used_at; half of it counts after 60 s",
    "tenant_usage.day_bytes": "input bytes accepted on `day`, in UTC",
    "tenants.max_queued": "a cap that is NULL is the default of the installation",
    "tenants.weight": "share of the workers, relative to the other tenants'",
    "workers.max_memory_bytes": "the highest memory limit it can keep; NULL: any",
    "workers.trouble": "what keeps it from running executions, if anything",
}

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
    for kind, comments in (("TABLE", _TABLES), ("COLUMN", _COLUMNS)):
        for name, comment in comments.items():
            quoted = comment.replace("'", "''").replace(":", "\\:")
            op.execute(f"COMMENT ON {kind} {name} IS '{quoted}'")


def downgrade() -> None:
    for kind, comments in (("TABLE", _TABLES), ("COLUMN", _COLUMNS)):
        for name in comments:
            op.execute(f"COMMENT ON {kind} {name} IS NULL")
    for name, created_by in _BEFORE.items():
        [text] = (
            text
            for text in context.script.get_revision(created_by).module.UP
            if f"CREATE FUNCTION {name}(" in text
        )
        op.execute(text.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1))
    op.execute("DROP FUNCTION quota_against_upload_v2(uuid, bigint, bigint, bigint)")
    op.execute("DROP FUNCTION quota_against_execution_v2(uuid, bigint, bigint, bigint, bigint)")
