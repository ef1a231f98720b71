"""Runs: a script over a whole dataset, in parts, each of which is an execution.

A part is claimed, leased, fenced and rescued as any execution. What it writes is stored beside its
fencing token, so only what the recorded attempt has written counts.

A downgrade deletes runs with their parts. Staged blobs stay in `<tenant>/datasets/` and
`<tenant>/indexes/`, where the next release cleans them up.
"""

from pathlib import Path

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql"

UP = (
    """
    ALTER TABLE script_versions
    ADD COLUMN kinds text[] NOT NULL DEFAULT '{process}'
        CHECK (kinds <@ '{process, map, fold, merge}' AND kinds <> '{}')
    """,
    "ALTER TABLE executions ADD COLUMN run_id uuid",
    "ALTER TABLE workers ADD COLUMN engine jsonb",
    "ALTER TABLE queue ADD COLUMN is_part boolean NOT NULL DEFAULT false",
    "CREATE INDEX queue_parts_idx ON queue (tenant_id) WHERE is_part",
    """
    CREATE INDEX executions_run_idx ON executions (run_id, id)
    WHERE run_id IS NOT NULL
    """,
    """
    CREATE TABLE runs (
        id                uuid        PRIMARY KEY,
        tenant_id         uuid        NOT NULL REFERENCES tenants,
        script_id         uuid        NOT NULL,
        version           integer     NOT NULL,
        dataset_id        uuid        NOT NULL,
        dataset           text        NOT NULL,
        snapshot          integer     NOT NULL,
        format            text        NOT NULL
                          CHECK (format IN ('records', 'lines', 'text', 'bytes')),
        each              text        CHECK (each = 'record'),
        emit              text        NOT NULL CHECK (emit IN ('one', 'many')),
        on_error          text        NOT NULL CHECK (on_error IN ('fail', 'skip', 'dead_letter')),
        max_errors        integer     NOT NULL CHECK (max_errors >= 0),
        folds             boolean     NOT NULL,
        merges            boolean     NOT NULL,
        output_dataset_id uuid,
        output_dataset    text,
        output_mode       text        CHECK (output_mode IN ('append', 'replace')),
        publishes         boolean     NOT NULL DEFAULT true,
        output_snapshot   integer,
        output_sha256     bytea       CHECK (octet_length(output_sha256) = 32),
        input_sha256      bytea       NOT NULL CHECK (octet_length(input_sha256) = 32),
        params            bytea,
        labels            jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
        priority          smallint    NOT NULL CHECK (priority BETWEEN -10 AND 10),
        seed              bigint      NOT NULL CHECK (seed >= 0 AND seed < 9007199254740992),
        clock_ms          bigint      NOT NULL,
        wall_ms           integer     NOT NULL CHECK (wall_ms > 0),
        max_cpu_ms        integer     NOT NULL CHECK (max_cpu_ms > 0),
        memory_bytes      bigint      NOT NULL CHECK (memory_bytes > 0),
        max_output_bytes  bigint      NOT NULL CHECK (max_output_bytes > 0),
        callback_url      text        CHECK (octet_length(callback_url) <= 2048),
        request_id        text        CHECK (length(request_id) BETWEEN 1 AND 128),
        traceparent       text        CHECK (octet_length(traceparent) = 55),
        replay_of         uuid,
        status            text        NOT NULL DEFAULT 'queued'
            CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
        parts             integer     NOT NULL CHECK (parts >= 0),
        parts_done        integer     NOT NULL DEFAULT 0,
        raw_bytes         bigint      NOT NULL,
        raw_bytes_done    bigint      NOT NULL DEFAULT 0,
        rows_in           bigint      NOT NULL DEFAULT 0,
        rows_out          bigint      NOT NULL DEFAULT 0,
        rows_failed       bigint      NOT NULL DEFAULT 0,
        result_of         uuid,
        error             bytea,
        created_at        timestamptz NOT NULL,
        started_at        timestamptz,
        last_done_at      timestamptz,
        finished_at       timestamptz,
        FOREIGN KEY (script_id, version) REFERENCES script_versions (script_id, version),
        CHECK ((status = 'failed') = (error IS NOT NULL)),
        CHECK ((status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
        CHECK ((output_dataset_id IS NULL) = (output_mode IS NULL)),
        CHECK (folds OR output_dataset_id IS NOT NULL)
    ) WITH (fillfactor = 50)
    """,
    "CREATE INDEX runs_page_idx ON runs (tenant_id, id DESC)",
    "CREATE INDEX runs_active_idx ON runs (dataset_id, snapshot) WHERE finished_at IS NULL",
    "CREATE INDEX runs_active_of_tenant_idx ON runs (tenant_id) WHERE finished_at IS NULL",
    "CREATE INDEX runs_finished_idx ON runs (finished_at, id) WHERE finished_at IS NOT NULL",
    """
    CREATE TABLE run_parts (
        run_id       uuid    NOT NULL REFERENCES runs ON DELETE CASCADE,
        task         text    NOT NULL CHECK (task IN ('map', 'fold', 'merge')),
        level        integer NOT NULL CHECK ((level = 0) = (task <> 'merge')),
        number       integer NOT NULL CHECK (number > 0),
        tenant_id    uuid    NOT NULL,
        finishes     boolean NOT NULL,
        file_id      uuid,
        first_part   integer,
        last_part    integer,
        first_line   bigint  NOT NULL DEFAULT 0,
        raw_bytes    bigint  NOT NULL DEFAULT 0,
        first_state  integer,
        last_state   integer,
        execution_id uuid,
        lease_token  bigint,
        forgotten    smallint NOT NULL DEFAULT 0,
        PRIMARY KEY (run_id, task, level, number),
        CHECK ((level = 0) = (file_id IS NOT NULL)),
        CHECK (num_nulls(file_id, first_part, last_part) IN (0, 3)),
        CHECK ((task = 'merge') = (first_state IS NOT NULL)),
        CHECK (num_nulls(first_state, last_state) IN (0, 2)),
        CHECK (execution_id IS NOT NULL OR lease_token IS NULL)
    )
    """,
    """
    CREATE UNIQUE INDEX run_parts_execution_idx ON run_parts (execution_id)
    WHERE execution_id IS NOT NULL
    """,
    """
    CREATE INDEX run_parts_outstanding_idx ON run_parts (run_id)
    WHERE execution_id IS NOT NULL AND lease_token IS NULL
    """,
    """
    CREATE INDEX run_parts_waiting_idx ON run_parts (run_id, level, number, task)
    WHERE execution_id IS NULL
    """,
    """
    CREATE INDEX run_parts_waiting_of_task_idx ON run_parts (run_id, task, level, number)
    WHERE execution_id IS NULL
    """,
    # Failed records are listed in the order of their parts.
    "CREATE INDEX run_parts_order_idx ON run_parts (run_id, level, number)",
    """
    CREATE TABLE run_attempts (
        execution_id uuid    NOT NULL,
        lease_token  bigint  NOT NULL,
        run_id       uuid    NOT NULL REFERENCES runs ON DELETE CASCADE,
        tenant_id    uuid    NOT NULL,
        rows_in      bigint  NOT NULL,
        rows_out     bigint  NOT NULL,
        rows_failed  bigint  NOT NULL,
        PRIMARY KEY (execution_id, lease_token)
    )
    """,
    "CREATE INDEX run_attempts_run_idx ON run_attempts (run_id)",
    """
    CREATE TABLE run_outputs (
        execution_id uuid    NOT NULL,
        lease_token  bigint  NOT NULL,
        number       integer NOT NULL CHECK (number > 0),
        run_id       uuid    NOT NULL REFERENCES runs,
        tenant_id    uuid    NOT NULL,
        sha256       bytea   NOT NULL CHECK (octet_length(sha256) = 32),
        raw_bytes    bigint  NOT NULL,
        stored_bytes bigint  NOT NULL,
        index_bytes  bigint  NOT NULL,
        lines        bigint  NOT NULL,
        records      bigint  NOT NULL,
        missing_keys bigint  NOT NULL,
        duplicates   bigint  NOT NULL,
        ends_line    boolean NOT NULL,
        blob_key     text    NOT NULL,
        index_key    text,
        PRIMARY KEY (execution_id, lease_token, number)
    )
    """,
    "CREATE INDEX run_outputs_run_idx ON run_outputs (run_id)",
    "CREATE INDEX run_outputs_blob_idx ON run_outputs (blob_key)",
    """
    CREATE INDEX run_outputs_index_idx ON run_outputs (index_key)
    WHERE index_key IS NOT NULL
    """,
    """
    CREATE TABLE run_errors (
        execution_id uuid    NOT NULL,
        lease_token  bigint  NOT NULL,
        number       integer NOT NULL CHECK (number > 0),
        run_id       uuid    NOT NULL REFERENCES runs ON DELETE CASCADE,
        tenant_id    uuid    NOT NULL,
        line         bigint  NOT NULL CHECK (line > 0),
        error        bytea   NOT NULL,
        record       bytea,
        PRIMARY KEY (execution_id, lease_token, number)
    )
    """,
    "CREATE INDEX run_errors_run_idx ON run_errors (run_id)",
)

_FUNCTIONS = (
    "count_run_bytes",
    "count_run_errors",
    "count_dataset_bytes_v2",
    "keep_queue_v2",
    "claim_executions_v4",
    "claim_parts_v1",
)

_TABLES = {
    "runs": "runs of a script over a snapshot of a dataset; their parts are executions",
    "run_parts": "what each part of a run reads, and the execution that does it",
    "run_attempts": "rows that an attempt of a part has read, written and failed on",
    "run_outputs": "parts of datasets that an attempt has written, until they are published",
    "run_errors": "records that an attempt has failed on, and went on without",
}

_COLUMNS = {
    "script_versions.kinds": "what the script can be run as, by the functions that it defines",
    "executions.run_id": "the run that it is a part of",
    "workers.engine": "what runs parts of runs for it, beside its slots; NULL: nothing",
    "queue.is_part": "it is a part of a run, which gives way to executions",
    "runs.folds": "its result is that of the fold",
    "runs.merges": "parts are folded in any order, and their states are merged",
    "runs.publishes": "false: what it writes is hashed and dropped",
    "runs.input_sha256": "SHA-256 of the paths and digests of the input files, in their order",
    "runs.output_sha256": "the same of the files that it has written",
    "runs.parts": "parts that read the dataset; merges are not counted",
    "runs.result_of": "the execution whose result is that of the run",
    "runs.error": "ASCII JSON: text of scripts may hold what PostgreSQL''s text refuses",
    "run_parts.level": "0 reads the dataset; above, states of the level below are merged",
    "run_parts.finishes": "it calls `finish`, and its result is that of the run",
    "run_parts.first_line": "lines of the file before it",
    "run_parts.lease_token": "the attempt that counts; NULL until its outcome is recorded",
    "run_parts.forgotten": "how often a worker of an older release has taken it",
    "run_errors.error": "ASCII JSON, as of executions",
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
    _keep_queue("keep_queue_v2")
    _count("run_outputs", "count_run_bytes")
    _count("run_errors", "count_run_errors")
    _count("dataset_parts", "count_dataset_bytes_v2")
    _allow_subjects("'execution', 'batch', 'run'")
    op.execute("""
        CREATE TRIGGER runs_end_adds_callback AFTER UPDATE OF finished_at ON runs FOR EACH ROW
        WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL
              AND NEW.callback_url IS NOT NULL)
        EXECUTE FUNCTION add_callback('run')
    """)
    op.execute("""
        CREATE TRIGGER runs_deletion_deletes_callback AFTER DELETE ON runs FOR EACH ROW
        WHEN (OLD.callback_url IS NOT NULL) EXECUTE FUNCTION delete_callback('run')
    """)


def downgrade() -> None:
    op.execute("""
        UPDATE executions
        SET status = 'cancelled', finished_at = clock_timestamp(), lease_token = -lease_token,
            lease_expires_at = NULL
        WHERE run_id IS NOT NULL AND status IN ('queued', 'running')
    """)
    op.execute("DELETE FROM callbacks WHERE subject = 'run'")
    _allow_subjects("'execution', 'batch'")
    # What they counted for quotas goes with them.
    op.execute("DELETE FROM run_outputs")
    op.execute("DELETE FROM run_errors")
    _count("dataset_parts", "count_dataset_bytes")
    for table in ("run_errors", "run_outputs", "run_attempts", "run_parts", "runs"):
        op.execute(f"DROP TABLE {table}")
    _keep_queue("keep_queue")
    op.execute(f"DROP FUNCTION {', '.join(_FUNCTIONS)}")
    op.execute("ALTER TABLE queue DROP COLUMN is_part")
    op.execute("ALTER TABLE workers DROP COLUMN engine")
    op.execute("ALTER TABLE executions DROP COLUMN run_id")
    op.execute("ALTER TABLE script_versions DROP COLUMN kinds")


def _count(table: str, function: str) -> None:
    """Let a function count the bytes of a table for quotas."""
    for event, reference in (("INSERT", "NEW TABLE AS added"), ("DELETE", "OLD TABLE AS removed")):
        op.execute(f"""
            CREATE OR REPLACE TRIGGER {table}_{event.lower()}_counts
            AFTER {event} ON {table} REFERENCING {reference}
            FOR EACH STATEMENT EXECUTE FUNCTION {function}()
        """)


def _allow_subjects(subjects: str) -> None:
    op.execute(f"""
        ALTER TABLE callbacks
        DROP CONSTRAINT callbacks_subject_check,
        ADD CONSTRAINT callbacks_subject_check CHECK (subject IN ({subjects}))
    """)


def _keep_queue(function: str) -> None:
    """Let a function keep the queue; the conditions are those of 0005."""
    for event, condition in (
        ("INSERT", "NEW.status = 'queued'"),
        (
            "UPDATE OF status, priority",
            """(OLD.status = 'queued' OR NEW.status = 'queued')
               AND (OLD.status, OLD.priority) IS DISTINCT FROM (NEW.status, NEW.priority)""",
        ),
        ("DELETE", "OLD.status = 'queued'"),
    ):
        name = f"executions_{event.split()[0].lower()}_queues"
        op.execute(f"""
            CREATE OR REPLACE TRIGGER {name} AFTER {event} ON executions
            FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION {function}()
        """)
