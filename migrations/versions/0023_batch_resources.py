"""Batches: many inputs of one upload, each an execution of its own.

The inputs of an upload are staged in an unlogged table until the whole upload is accepted.
"""

from pathlib import Path

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_FUNCTIONS = (
    "count_batch_items",
    "quota_against_batch_v1",
    "accept_batch_v1",
    "finish_execution_v4",
)
_SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE batches (
            id             uuid PRIMARY KEY,
            tenant_id      uuid NOT NULL REFERENCES tenants (id),
            script_id      uuid,
            version        integer,
            items          integer NOT NULL CHECK (items > 0),
            succeeded      integer NOT NULL DEFAULT 0,
            failed         integer NOT NULL DEFAULT 0,
            cancelled      integer NOT NULL DEFAULT 0,
            input_bytes    bigint NOT NULL,
            labels         jsonb NOT NULL DEFAULT '{}',
            priority       smallint NOT NULL DEFAULT 0,
            request_id     text,
            created_at     timestamptz NOT NULL,
            first_ended_at timestamptz,
            last_ended_at  timestamptz,
            cancelled_at   timestamptz,
            finished_at    timestamptz,
            callback_url   text CHECK (octet_length(callback_url) <= 2048),
            FOREIGN KEY (script_id, version) REFERENCES script_versions (script_id, version),
            CHECK (succeeded >= 0 AND failed >= 0 AND cancelled >= 0),
            CHECK ((succeeded + failed + cancelled = items) = (finished_at IS NOT NULL))
        ) WITH (fillfactor = 50)
    """)
    op.execute("CREATE INDEX batches_page_idx ON batches (tenant_id, id DESC)")
    op.execute(
        "CREATE INDEX batches_finished_idx ON batches (finished_at, id)"
        " WHERE finished_at IS NOT NULL"
    )
    op.execute(
        "CREATE INDEX batches_uncancelled_idx ON batches (id)"
        " WHERE cancelled_at IS NOT NULL AND finished_at IS NULL"
    )
    for on, text in (
        ("TABLE batches", "uploads of many inputs; their items are executions"),
        ("COLUMN batches.callback_url", "receives a callback when the batch ends"),
        ("COLUMN batches.version", "NULL: the items run versions of their own"),
        ("COLUMN batches.succeeded", "counted by a trigger on executions"),
        ("COLUMN batches.first_ended_at", "when the first item ended, for the estimate"),
    ):
        op.execute(f"COMMENT ON {on} IS '{text}'")
    # No foreign key: it would be checked for each item, and one transaction stores both.
    op.execute("ALTER TABLE executions ADD COLUMN batch_id uuid, ADD COLUMN batch_line integer")
    op.execute(
        "COMMENT ON COLUMN executions.batch_line IS 'line of the upload that is its input, from 1'"
    )
    op.execute(
        "CREATE UNIQUE INDEX executions_batch_idx ON executions (batch_id, batch_line)"
        " WHERE batch_id IS NOT NULL"
    )
    op.execute("""
        CREATE UNLOGGED TABLE batch_inputs (
            upload_id        uuid NOT NULL,
            line             integer NOT NULL,
            tenant_id        uuid NOT NULL,
            sha256           bytea NOT NULL,
            size_bytes       bigint NOT NULL,
            body             bytea,
            blob_key         text,
            error            bytea,
            script_id        uuid,
            version          integer,
            wall_ms          integer,
            max_cpu_ms       integer,
            memory_bytes     bigint,
            max_output_bytes bigint,
            seed             bigint,
            clock_ms         bigint,
            labels           jsonb,
            priority         smallint,
            params           bytea,
            replay_of        uuid,
            staged_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (upload_id, line)
        )
    """)
    op.execute(
        "CREATE INDEX batch_inputs_blob_idx ON batch_inputs (blob_key) WHERE blob_key IS NOT NULL"
    )
    op.execute("ALTER TABLE batch_inputs ALTER COLUMN body SET STORAGE EXTERNAL")
    op.execute(
        "COMMENT ON TABLE batch_inputs IS 'inputs of batches whose upload is not accepted yet'"
    )
    for name in _FUNCTIONS:
        op.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"))
    op.execute("""
        CREATE TRIGGER batches_end_adds_callback AFTER UPDATE OF finished_at ON batches FOR EACH ROW
        WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL
              AND NEW.callback_url IS NOT NULL)
        EXECUTE FUNCTION add_callback('batch')
    """)
    op.execute("""
        CREATE TRIGGER batches_deletion_deletes_callback AFTER DELETE ON batches FOR EACH ROW
        WHEN (OLD.callback_url IS NOT NULL) EXECUTE FUNCTION delete_callback('batch')
    """)
    op.execute("""
        CREATE TRIGGER executions_update_counts_batch_items AFTER UPDATE ON executions
        REFERENCING OLD TABLE AS removed NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION count_batch_items()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER executions_update_counts_batch_items ON executions")
    op.execute("DROP PROCEDURE finish_execution_v4")
    op.execute("DROP FUNCTION accept_batch_v1")
    op.execute("DROP FUNCTION quota_against_batch_v1")
    op.execute("DROP FUNCTION count_batch_items")
    op.execute("DROP TABLE batch_inputs")
    op.execute("ALTER TABLE executions DROP COLUMN batch_id, DROP COLUMN batch_line")
    op.execute("DROP TABLE batches")
