"""Exports: a snapshot as Parquet, by leased tasks whose output counts beside a fencing token.

A downgrade forgets exports. Their files here stay in `<tenant>/exports/`, where the next release
cleans them up; files at destinations stay where they are.
"""

from pathlib import Path

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql"

UP = (
    """
    CREATE TABLE exports (
        id             uuid        PRIMARY KEY,
        tenant_id      uuid        NOT NULL REFERENCES tenants,
        dataset_id     uuid        NOT NULL,
        dataset        text        NOT NULL,
        snapshot       integer     NOT NULL,
        since          integer     CHECK (since > 0),
        base_id        uuid,
        request        bytea       NOT NULL,
        plan           bytea       NOT NULL,
        plan_sha256    bytea       NOT NULL CHECK (octet_length(plan_sha256) = 32),
        destination    text,
        script_id      uuid,
        script_version integer,
        run_id         uuid,
        labels         jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
        callback_url   text        CHECK (octet_length(callback_url) <= 2048),
        request_id     text        CHECK (length(request_id) BETWEEN 1 AND 128),
        traceparent    text        CHECK (octet_length(traceparent) = 55),
        input_sha256   bytea       NOT NULL CHECK (octet_length(input_sha256) = 32),
        output_sha256  bytea       CHECK (octet_length(output_sha256) = 32),
        engine         text,
        status         text        NOT NULL DEFAULT 'queued'
            CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
        stage          text        NOT NULL
            CHECK (stage IN ('script', 'whole', 'map', 'bucket', 'write', 'publish')),
        tasks          integer     NOT NULL DEFAULT 0 CHECK (tasks >= 0),
        tasks_done     integer     NOT NULL DEFAULT 0 CHECK (tasks_done >= 0),
        raw_bytes      bigint      NOT NULL,
        raw_bytes_done bigint      NOT NULL DEFAULT 0,
        rows_in        bigint      NOT NULL DEFAULT 0,
        duplicates     bigint      NOT NULL DEFAULT 0,
        rows_failed    bigint      NOT NULL DEFAULT 0,
        rows_dropped   bigint      NOT NULL DEFAULT 0,
        script_rows_failed bigint  NOT NULL DEFAULT 0,
        rows_out       bigint,
        files          integer,
        bytes          bigint,
        partitions     integer,
        columns        bytea,
        nulls          bigint[],
        level_nulls    bigint[],
        cpu_ms         double precision NOT NULL DEFAULT 0,
        peak_memory_bytes bigint,
        duckdb_versions text[]     NOT NULL DEFAULT '{}',
        error          bytea,
        created_at     timestamptz NOT NULL,
        started_at     timestamptz,
        publishing_at  timestamptz,
        finished_at    timestamptz,
        files_deleted_at timestamptz,
        errors_deleted_at timestamptz,
        CHECK ((status = 'failed') = (error IS NOT NULL)),
        CHECK ((status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
        CHECK ((since IS NULL) = (base_id IS NULL)),
        CHECK (num_nulls(script_id, script_version) IN (0, 2))
    ) WITH (fillfactor = 50)
    """,
    "CREATE INDEX exports_page_idx ON exports (tenant_id, id DESC)",
    "CREATE INDEX exports_active_idx ON exports (tenant_id, dataset_id) WHERE finished_at IS NULL",
    """
    CREATE INDEX exports_destination_idx ON exports (tenant_id, destination, id)
    WHERE destination IS NOT NULL AND finished_at IS NULL
    """,
    """
    CREATE INDEX exports_published_idx ON exports (tenant_id, destination, id)
    WHERE destination IS NOT NULL AND status = 'succeeded' AND files_deleted_at IS NULL
    """,
    """
    CREATE INDEX exports_files_idx ON exports (finished_at)
    WHERE destination IS NULL AND status = 'succeeded' AND files_deleted_at IS NULL
    """,
    """
    CREATE INDEX exports_errors_idx ON exports (finished_at)
    WHERE rows_failed > 0 AND errors_deleted_at IS NULL
    """,
    "CREATE INDEX exports_script_idx ON exports (finished_at) WHERE run_id IS NOT NULL",
    """
    CREATE INDEX exports_base_idx ON exports (tenant_id, dataset_id, snapshot, id DESC)
    WHERE status = 'succeeded'
    """,
    "CREATE INDEX exports_finished_idx ON exports (finished_at, id) WHERE finished_at IS NOT NULL",
    """
    CREATE TABLE export_tasks (
        export_id        uuid        NOT NULL REFERENCES exports ON DELETE CASCADE,
        stage            text        NOT NULL
                         CHECK (stage IN ('script', 'whole', 'map', 'bucket', 'write', 'publish')),
        number           integer     NOT NULL CHECK (number > 0),
        tenant_id        uuid        NOT NULL,
        input            bytea       NOT NULL DEFAULT '{}',
        raw_bytes        bigint      NOT NULL DEFAULT 0,
        raw_bytes_done   bigint      NOT NULL DEFAULT 0,
        attempts         smallint    NOT NULL DEFAULT 0,
        due_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
        worker_id        uuid,
        lease_token      bigint,
        lease_expires_at timestamptz,
        trouble          text,
        trouble_since    timestamptz,
        done_token       bigint,
        found            bytea,
        finished_at      timestamptz,
        PRIMARY KEY (export_id, stage, number),
        CHECK (num_nulls(worker_id, lease_token, lease_expires_at) IN (0, 3)),
        CHECK ((trouble IS NULL) = (trouble_since IS NULL)),
        CHECK ((done_token IS NULL) = (finished_at IS NULL))
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE INDEX export_tasks_due_idx ON export_tasks (tenant_id, due_at, export_id, number)
    WHERE done_token IS NULL
    """,
    """
    CREATE INDEX export_tasks_left_idx ON export_tasks (export_id, stage)
    WHERE done_token IS NULL
    """,
    """
    CREATE INDEX export_tasks_leased_idx ON export_tasks (tenant_id)
    WHERE lease_token IS NOT NULL AND done_token IS NULL
    """,
    """
    CREATE TABLE export_turns (
        tenant_id uuid        PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
        began_at  timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE export_files (
        export_id   uuid    NOT NULL REFERENCES exports,
        lease_token bigint  NOT NULL,
        number      integer NOT NULL CHECK (number > 0),
        tenant_id   uuid    NOT NULL,
        stage       text    NOT NULL
                    CHECK (stage IN ('whole', 'map', 'bucket', 'write', 'base')),
        bucket      integer,
        partition   bytea   NOT NULL,
        name        text    COLLATE "C" NOT NULL,
        blob_key    text,
        rows        bigint  NOT NULL,
        bytes       bigint  NOT NULL,
        sha256      bytea   NOT NULL CHECK (octet_length(sha256) = 32),
        published   boolean NOT NULL DEFAULT false,
        PRIMARY KEY (export_id, lease_token, number)
    )
    """,
    "CREATE INDEX export_files_blob_idx ON export_files (blob_key) WHERE blob_key IS NOT NULL",
    "CREATE INDEX export_files_name_idx ON export_files (export_id, name) WHERE published",
    """
    CREATE TABLE export_emptied_partitions (
        export_id uuid  NOT NULL REFERENCES exports ON DELETE CASCADE,
        folder    text  COLLATE "C" NOT NULL,
        tenant_id uuid  NOT NULL,
        partition bytea NOT NULL,
        PRIMARY KEY (export_id, folder)
    )
    """,
    """
    CREATE TABLE export_errors (
        export_id   uuid    NOT NULL REFERENCES exports ON DELETE CASCADE,
        lease_token bigint  NOT NULL,
        number      integer NOT NULL CHECK (number > 0),
        tenant_id   uuid    NOT NULL,
        path        text    NOT NULL,
        line        bigint  NOT NULL CHECK (line > 0),
        error       bytea   NOT NULL,
        record      bytea   NOT NULL,
        PRIMARY KEY (export_id, lease_token, number)
    )
    """,
)

_FUNCTIONS = ("count_export_files", "count_export_errors")

_TABLES = {
    "exports": "a snapshot of a dataset as deduplicated, partitioned Parquet files",
    "export_tasks": "the tasks of an export, each a lease of a worker",
    "export_turns": "when the latest task of each tenant began, for the order of claims",
    "export_files": "files that an attempt of a task has written; those published are its result",
    "export_emptied_partitions": "partitions of the continued export that have no file any more",
    "export_errors": "rows that an attempt could not export, and went on without",
}

_COLUMNS = {
    "exports.base_id": "the export that it continues, of the snapshot `since`",
    "exports.request": "what was asked for, as ASCII JSON",
    "exports.plan": "what is done to rows, as JSON of app/exports/plan/model.py",
    "exports.plan_sha256": "of the plan and the destination: only equal ones can be continued",
    "exports.run_id": "the run whose output is exported, where a script stands before",
    "exports.columns": "the columns of the records with their types, as JSON",
    "exports.nulls": "rows without a value in its files, by the columns that the files have",
    "exports.level_nulls": "published rows in the default partition, by the levels of the folders",
    "exports.duckdb_versions": "of its tasks: more than one only if workers differ",
    "exports.publishing_at": "since when a destination is changed: no longer to be cancelled",
    "exports.files_deleted_at": "when files of it were deleted, here or at its destination",
    "exports.error": "ASCII JSON, as of executions",
    "export_tasks.input": "what it reads, as JSON: parts of the dataset, a bucket or partitions",
    "export_tasks.trouble": "why the last attempt was given up; NULL: it got further since",
    "export_tasks.done_token": "the attempt that counts; NULL until its outcome is recorded",
    "export_tasks.found": "as JSON: columns of a map task, rows by partition of a bucket",
    "exports.rows_dropped": "records for which the script has returned nothing",
    "exports.script_rows_failed": "of rows_failed, those that the script has failed at",
    "export_errors.line": "with a script, the number of a record that it has returned for the file",
    "export_files.partition": "values of the partition as a JSON array of texts and nulls",
    "export_files.name": "the path below the destination, with Hive''s folders",
    "export_files.blob_key": "where its bytes are here; NULL: only at the destination",
    "export_files.stage": "what has written it; base: a file of the continued export that stays",
}


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)
    for kind, comments in (("TABLE", _TABLES), ("COLUMN", _COLUMNS)):
        for name, comment in comments.items():
            quoted = comment.replace(":", "\\:")
            op.execute(f"COMMENT ON {kind} {name} IS '{quoted}'")
    for name in _FUNCTIONS:
        op.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"))
    for table, function in (
        ("export_files", "count_export_files"),
        ("export_errors", "count_export_errors"),
    ):
        for event, rows in (("INSERT", "NEW TABLE AS added"), ("DELETE", "OLD TABLE AS removed")):
            op.execute(f"""
                CREATE TRIGGER {table}_{event.lower()}_counts
                AFTER {event} ON {table} REFERENCING {rows}
                FOR EACH STATEMENT EXECUTE FUNCTION {function}()
            """)
    _allow_subjects("'execution', 'batch', 'run', 'export'")
    op.execute("""
        CREATE TRIGGER exports_end_adds_callback AFTER UPDATE OF finished_at ON exports FOR EACH ROW
        WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL
              AND NEW.callback_url IS NOT NULL)
        EXECUTE FUNCTION add_callback('export')
    """)
    op.execute("""
        CREATE TRIGGER exports_deletion_deletes_callback AFTER DELETE ON exports FOR EACH ROW
        WHEN (OLD.callback_url IS NOT NULL) EXECUTE FUNCTION delete_callback('export')
    """)


def downgrade() -> None:
    op.execute("DELETE FROM callbacks WHERE subject = 'export'")
    _allow_subjects("'execution', 'batch', 'run'")
    # What they counted for quotas goes with them.
    op.execute("DELETE FROM export_errors")
    op.execute("DELETE FROM export_files")
    for table in reversed(_TABLES):
        op.execute(f"DROP TABLE {table}")
    op.execute(f"DROP FUNCTION {', '.join(_FUNCTIONS)}")


def _allow_subjects(subjects: str) -> None:
    op.execute(f"""
        ALTER TABLE callbacks
        DROP CONSTRAINT callbacks_subject_check,
        ADD CONSTRAINT callbacks_subject_check CHECK (subject IN ({subjects}))
    """)
