"""Dead letters: events that pipes could not forward, with reasons, counted for quotas."""

from pathlib import Path

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql"

UP = (
    """
    CREATE TABLE dead_letters (
        id             uuid        NOT NULL,
        tenant_id      uuid        NOT NULL REFERENCES tenants,
        pipe_id        uuid        NOT NULL,
        event_id       text        COLLATE "C" NOT NULL
                                   CHECK (octet_length(event_id) BETWEEN 1 AND 200),
        sha256         bytea       NOT NULL CHECK (octet_length(sha256) = 32),
        state          text        NOT NULL DEFAULT 'dead'
                                   CHECK (state IN ('dead', 'moved', 'dropped', 'erased')),
        kind           text        NOT NULL,
        error          bytea       NOT NULL,
        pointers       bigint[]    NOT NULL DEFAULT '{}',
        event          bytea,
        size_bytes     integer     NOT NULL CHECK (size_bytes BETWEEN 0 AND 1048576),
        has_line_feed  boolean     NOT NULL,
        schema_id      uuid,
        schema_version integer,
        script_id      uuid,
        script_version integer,
        last_kind           text,
        last_error          bytea,
        last_pointers       bigint[] NOT NULL DEFAULT '{}',
        last_schema_id      uuid,
        last_schema_version integer,
        last_script_id      uuid,
        last_script_version integer,
        attempts       integer     NOT NULL DEFAULT 1 CHECK (attempts > 0),
        redrive_id     uuid,
        -- Of one time: both are when it has failed first.
        created_at     timestamptz NOT NULL DEFAULT statement_timestamp(),
        failed_at      timestamptz NOT NULL DEFAULT statement_timestamp(),
        moved_at       timestamptz,
        dropped_at     timestamptz,
        erased_at      timestamptz,
        -- Not by the id alone: its index would give the order of a tenant's letters, too, and pass
        -- over those of all others.
        PRIMARY KEY (tenant_id, id),
        CONSTRAINT dead_letters_event_key UNIQUE (event_id, pipe_id, sha256),
        CONSTRAINT dead_letters_event_check CHECK ((event IS NULL) = (state = 'erased')),
        CONSTRAINT dead_letters_moved_check CHECK (state <> 'moved' OR moved_at IS NOT NULL),
        CONSTRAINT dead_letters_dropped_check
            CHECK (state <> 'dropped' OR dropped_at IS NOT NULL),
        CONSTRAINT dead_letters_last_check
            CHECK (num_nulls(last_kind, last_error) IN (0, 2)
                   AND num_nulls(last_schema_id, last_schema_version) IN (0, 2)
                   AND num_nulls(last_script_id, last_script_version) IN (0, 2)),
        CONSTRAINT dead_letters_erased_check CHECK ((state = 'erased') = (erased_at IS NOT NULL)),
        CONSTRAINT dead_letters_schema_check
            CHECK (num_nulls(schema_id, schema_version) IN (0, 2)),
        CONSTRAINT dead_letters_script_check
            CHECK (num_nulls(script_id, script_version) IN (0, 2))
    )
    """,
    "CREATE INDEX dead_letters_pipe_idx ON dead_letters (tenant_id, pipe_id, id)",
    # Those that a re-drive can try, however many have been moved.
    "CREATE INDEX dead_letters_dead_idx ON dead_letters (tenant_id, id) WHERE state = 'dead'",
    """
    CREATE INDEX dead_letters_dead_of_pipe_idx ON dead_letters (tenant_id, pipe_id, id)
    WHERE state = 'dead'
    """,
    "CREATE INDEX dead_letters_age_idx ON dead_letters (failed_at, id)",
    """
    CREATE TABLE dead_letter_counts (
        tenant_id uuid     NOT NULL REFERENCES tenants,
        pipe_id   uuid     NOT NULL,
        kind      text     COLLATE "C" NOT NULL,
        shard     smallint NOT NULL,
        dead      bigint   NOT NULL,
        moved     bigint   NOT NULL,
        dropped   bigint   NOT NULL,
        erased    bigint   NOT NULL,
        PRIMARY KEY (tenant_id, pipe_id, kind, shard)
    ) WITH (fillfactor = 50)
    """,
)

_FUNCTIONS = ("count_dead_letters",)

_TRANSITIONS = {
    "INSERT": "NEW TABLE AS added",
    "UPDATE": "OLD TABLE AS removed NEW TABLE AS added",
    "DELETE": "OLD TABLE AS removed",
}

_TABLES = {
    "dead_letters": "events that a pipe could not forward, with the reason",
    "dead_letter_counts": "counters of dead letters; a number is the sum of its shards",
}

_COLUMNS = {
    "dead_letters.pipe_id": "a pipe, which may have been deleted since",
    "dead_letters.event_id": "the event's stable id, as the sink would get it",
    "dead_letters.event": "the event as it arrived, byte for byte; NULL: erased",
    "dead_letters.error": "the error document of the pipe, as ASCII JSON",
    "dead_letters.last_error": "that of the last re-drive which has failed; NULL: none has",
    "dead_letters.dropped_at": "when a script has returned null for it in a re-drive",
    "dead_letters.sha256": "of the event; it stays after the bytes are erased",
    "dead_letters.pointers": "hashes of the pointers in error",
    "dead_letters.last_pointers": "hashes of those in last_error",
    "dead_letters.size_bytes": "of the event; it stays after the bytes are erased",
    "dead_letters.redrive_id": "the re-drive that tries it, or has tried it last",
}


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)
    for kind, comments in (("TABLE", _TABLES), ("COLUMN", _COLUMNS)):
        for name, comment in comments.items():
            quoted = comment.replace("'", "''").replace(":", "\\:")
            op.execute(f"COMMENT ON {kind} {name} IS '{quoted}'")
    for name in _FUNCTIONS:
        op.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"))
    for event, transitions in _TRANSITIONS.items():
        op.execute(f"""
            CREATE TRIGGER dead_letters_{event.lower()}_counts
            AFTER {event} ON dead_letters REFERENCING {transitions}
            FOR EACH STATEMENT EXECUTE FUNCTION count_dead_letters()
        """)


def downgrade() -> None:
    # What they counted for quotas goes with them.
    op.execute("DELETE FROM dead_letters")
    op.execute("DROP TABLE dead_letters")
    op.execute("DROP TABLE dead_letter_counts")
    op.execute(f"DROP FUNCTION {', '.join(_FUNCTIONS)}")
