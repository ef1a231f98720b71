"""Re-drives: try dead letters, failed records of runs and failed executions again, at a rate.

A re-drive marks what it matches as its own as it is created: two of them never try the same thing.
A downgrade forgets what has been moved, which could then be tried again.
"""

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

UP = (
    """
    CREATE TABLE redrives (
        id               uuid        PRIMARY KEY,
        tenant_id        uuid        NOT NULL REFERENCES tenants,
        kind             text        NOT NULL CHECK (kind IN ('pipe', 'run', 'execution')),
        filter           bytea       NOT NULL,
        pipe_id          uuid,
        run_id           uuid,
        batch_id         uuid,
        script_id        uuid,
        script_version   integer,
        per_second       integer     CHECK (per_second > 0),
        status           text        NOT NULL DEFAULT 'queued'
                                     CHECK (status IN ('queued', 'running', 'finished', 'failed',
                                                       'cancelled')),
        matched          bigint      NOT NULL CHECK (matched >= 0),
        moved            bigint      NOT NULL DEFAULT 0 CHECK (moved >= 0),
        dropped          bigint      NOT NULL DEFAULT 0 CHECK (dropped >= 0),
        failed_again     bigint      NOT NULL DEFAULT 0 CHECK (failed_again >= 0),
        left_out         bigint      NOT NULL DEFAULT 0 CHECK (left_out >= 0),
        failures         bytea       NOT NULL DEFAULT '[]',
        output_dataset   text,
        output_snapshot  integer,
        trouble          text,
        due_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
        worker_id        uuid,
        lease_token      bigint,
        lease_expires_at timestamptz,
        created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
        started_at       timestamptz,
        finished_at      timestamptz,
        CONSTRAINT redrives_counts_check
            CHECK (moved + dropped + failed_again + left_out <= matched),
        CONSTRAINT redrives_finished_check
            CHECK ((status IN ('finished', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
        CONSTRAINT redrives_lease_check
            CHECK (num_nulls(worker_id, lease_token, lease_expires_at) IN (0, 3)),
        CONSTRAINT redrives_script_check CHECK (num_nulls(script_id, script_version) IN (0, 2)),
        CONSTRAINT redrives_subject_check
            CHECK (CASE kind WHEN 'pipe' THEN pipe_id WHEN 'run' THEN run_id
                             ELSE batch_id END IS NOT NULL)
    )
    """,
    "CREATE INDEX redrives_tenant_idx ON redrives (tenant_id, id)",
    "CREATE INDEX redrives_open_idx ON redrives (due_at) WHERE status IN ('queued', 'running')",
    "CREATE INDEX redrives_finished_idx ON redrives (finished_at) WHERE finished_at IS NOT NULL",
    """
    CREATE TABLE redrive_executions (
        execution_id uuid NOT NULL PRIMARY KEY,
        redrive_id   uuid NOT NULL REFERENCES redrives ON DELETE CASCADE
                          DEFERRABLE INITIALLY DEFERRED,
        tenant_id    uuid NOT NULL REFERENCES tenants
    )
    """,
    "CREATE INDEX redrive_executions_redrive_idx ON redrive_executions (redrive_id)",
    "ALTER TABLE dead_letters ADD COLUMN retried_at timestamptz",
    """
    CREATE INDEX dead_letters_redrive_idx ON dead_letters (redrive_id, id)
    WHERE redrive_id IS NOT NULL AND retried_at IS NULL
    """,
    """
    ALTER TABLE run_errors
    ADD COLUMN redrive_id uuid, ADD COLUMN retried_at timestamptz, ADD COLUMN moved_at timestamptz,
    ADD CONSTRAINT run_errors_moved_check CHECK (moved_at IS NULL OR retried_at IS NOT NULL)
    """,
    """
    CREATE INDEX run_errors_redrive_idx ON run_errors (redrive_id)
    WHERE redrive_id IS NOT NULL AND retried_at IS NULL
    """,
)

_TABLES = {
    "redrives": "attempts to bring failed work back, by filter",
    "redrive_executions": "failed executions that a re-drive replays, or has moved",
}

_COLUMNS = {
    "redrives.filter": "what it matched, as JSON; bytes, as jsonb refuses some text",
    "redrives.matched": "what it has marked as its own as it was created",
    "redrives.dropped": "dead letters for which a script has returned null",
    "redrives.left_out": "what could not be tried: erased since, or cut as it was kept",
    "redrives.failures": "the first failures, as ASCII JSON",
    "redrives.trouble": "why it waits, or why it has failed; NULL: neither",
    "redrives.due_at": "when its next batch may be tried",
    "redrives.lease_token": "kept by a cancelled one until its last batch is recorded",
    "dead_letters.retried_at": "when its re-drive has tried it; NULL: it has not",
    "run_errors.redrive_id": "the re-drive that tries it, or has tried it last",
    "run_errors.retried_at": "when that one has tried it; NULL: it has not",
    "run_errors.moved_at": "when its values were published after all",
}


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)
    for kind, comments in (("TABLE", _TABLES), ("COLUMN", _COLUMNS)):
        for name, comment in comments.items():
            quoted = comment.replace("'", "''").replace(":", "\\:")
            op.execute(f"COMMENT ON {kind} {name} IS '{quoted}'")


def downgrade() -> None:
    op.execute("DROP INDEX dead_letters_redrive_idx")
    op.execute("ALTER TABLE dead_letters DROP COLUMN retried_at")
    op.execute("""
        ALTER TABLE run_errors
        DROP COLUMN redrive_id, DROP COLUMN retried_at, DROP COLUMN moved_at
    """)
    op.execute("DROP TABLE redrive_executions")
    op.execute("DROP TABLE redrives")
