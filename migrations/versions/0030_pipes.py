"""Pipes: events from a source through a schema and a script to a sink, and their inbox."""

from pathlib import Path

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql"

UP = (
    """
    CREATE TABLE pipes (
        id               uuid        PRIMARY KEY,
        tenant_id        uuid        NOT NULL REFERENCES tenants,
        name             text        NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
        revision         integer     NOT NULL DEFAULT 1 CHECK (revision > 0),
        definition       jsonb       NOT NULL,
        source_revision  integer     NOT NULL DEFAULT 1 CHECK (source_revision > 0),
        position         jsonb,
        paused_at        timestamptz,
        events_in        bigint      NOT NULL DEFAULT 0 CHECK (events_in >= 0),
        events_forwarded bigint      NOT NULL DEFAULT 0 CHECK (events_forwarded >= 0),
        events_refused   bigint      NOT NULL DEFAULT 0 CHECK (events_refused >= 0),
        last_event_at    timestamptz,
        lag_events       bigint      CHECK (lag_events >= 0),
        oldest_at        timestamptz,
        trouble          text,
        trouble_since    timestamptz,
        worker_id        uuid,
        lease_token      bigint,
        lease_expires_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT pipes_name_key UNIQUE (tenant_id, name),
        CONSTRAINT pipes_trouble_check CHECK ((trouble IS NULL) = (trouble_since IS NULL)),
        CONSTRAINT pipes_lease_check
            CHECK ((worker_id IS NULL) = (lease_token IS NULL))
    )
    """,
    "CREATE INDEX pipes_tenant_idx ON pipes (tenant_id, id)",
    "CREATE INDEX pipes_lease_idx ON pipes (lease_expires_at) WHERE paused_at IS NULL",
    """
    CREATE TABLE pipe_inbox (
        id          bigint      GENERATED ALWAYS AS IDENTITY,
        tenant_id   uuid        NOT NULL REFERENCES tenants,
        pipe_id     uuid        NOT NULL REFERENCES pipes,
        events      integer     NOT NULL CHECK (events > 0),
        events_done integer     NOT NULL DEFAULT 0
                                CHECK (events_done >= 0 AND events_done < events),
        event_id    text        CHECK (octet_length(event_id) BETWEEN 1 AND 200),
        body        bytea       NOT NULL,
        received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT pipe_inbox_single_check CHECK (event_id IS NULL OR events = 1),
        PRIMARY KEY (pipe_id, id)
    )
    """,
    """
    CREATE TABLE pipe_inbox_counts (
        tenant_id uuid     NOT NULL REFERENCES tenants,
        pipe_id   uuid     NOT NULL,
        shard     smallint NOT NULL,
        events    bigint   NOT NULL,
        PRIMARY KEY (tenant_id, pipe_id, shard)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE pipe_activity (
        pipe_id   uuid        NOT NULL REFERENCES pipes ON DELETE CASCADE,
        slot      timestamptz NOT NULL,
        tenant_id uuid        NOT NULL REFERENCES tenants,
        events_in bigint      NOT NULL,
        forwarded bigint      NOT NULL,
        refused   bigint      NOT NULL,
        PRIMARY KEY (pipe_id, slot)
    )
    """,
    """
    ALTER TABLE tenant_usage
    ADD COLUMN inbox_events bigint NOT NULL DEFAULT 0,
    ADD COLUMN inbox_bytes bigint NOT NULL DEFAULT 0
    """,
)

_TRIGGERS = {
    "INSERT": "REFERENCING NEW TABLE AS added",
    "UPDATE": "REFERENCING OLD TABLE AS removed NEW TABLE AS added",
    "DELETE": "REFERENCING OLD TABLE AS removed",
}

_TABLES = {
    "pipes": "pipes: where events come from, what they must satisfy, where they go",
    "pipe_inbox": "events that arrived over HTTP and are not forwarded yet",
    "pipe_inbox_counts": "counters of events in inboxes; a number is the sum of its shards",
    "pipe_activity": "what pipes did in the last minutes, in slots of ten seconds",
}

_COLUMNS = {
    "pipes.definition": "source, schema, script and sink, as they were last put",
    "pipes.source_revision": "the revision that changed the source last: a position is of it",
    "pipes.position": "how far a source without acknowledgements has been read",
    "pipes.lag_events": "events that the source had at the last look; NULL: it cannot say",
    "pipes.oldest_at": "since when the oldest of them waits; NULL: none, or it cannot say",
    "pipes.trouble": "why the pipe stands still; NULL: it does not",
    "pipes.lease_expires_at": "until when a worker holds the pipe, or since when it waits for one",
    "pipe_inbox.events_done": "events at the beginning of the body that need no more work",
    "pipe_inbox.event_id": "the client's own id of a single event",
    "pipe_inbox.body": "the events as they arrived: one, or several, one a line",
    "tenant_usage.inbox_events": "events in the inboxes of pipes",
    "tenant_usage.inbox_bytes": "bytes of them, which are in stored_bytes, too",
}


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)
    op.execute((_SQL / "count_pipe_inbox_v1.sql").read_text(encoding="utf-8"))
    for event, tables in _TRIGGERS.items():
        op.execute(f"""
            CREATE TRIGGER pipe_inbox_{event.lower()}_counts
            AFTER {event} ON pipe_inbox {tables}
            FOR EACH STATEMENT EXECUTE FUNCTION count_pipe_inbox_v1()
        """)
    for kind, comments in (("TABLE", _TABLES), ("COLUMN", _COLUMNS)):
        for name, comment in comments.items():
            quoted = comment.replace("'", "''").replace(":", "\\:")
            op.execute(f"COMMENT ON {kind} {name} IS '{quoted}'")


def downgrade() -> None:
    # What waited is gone with its pipes, and counts no more.
    op.execute("UPDATE tenant_usage SET stored_bytes = stored_bytes - inbox_bytes")
    op.execute("DROP TABLE pipe_activity")
    op.execute("DROP TABLE pipe_inbox")
    op.execute("DROP TABLE pipe_inbox_counts")
    op.execute("DROP FUNCTION count_pipe_inbox_v1")
    op.execute("DROP TABLE pipes")
    op.execute("ALTER TABLE tenant_usage DROP COLUMN inbox_events, DROP COLUMN inbox_bytes")
