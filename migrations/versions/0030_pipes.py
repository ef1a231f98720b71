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
        paused_at        timestamptz,
        position         jsonb,
        events_in        bigint      NOT NULL DEFAULT 0 CHECK (events_in >= 0),
        events_forwarded bigint      NOT NULL DEFAULT 0 CHECK (events_forwarded >= 0),
        events_refused   bigint      NOT NULL DEFAULT 0 CHECK (events_refused >= 0),
        last_event_at    timestamptz,
        trouble          text,
        trouble_since    timestamptz,
        worker_id        uuid,
        lease_token      bigint,
        lease_expires_at timestamptz,
        created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT pipes_name_key UNIQUE (tenant_id, name),
        CONSTRAINT pipes_lease_check
            CHECK (num_nulls(worker_id, lease_token, lease_expires_at) IN (0, 3))
    )
    """,
    """
    CREATE TABLE pipe_inbox (
        id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        tenant_id   uuid        NOT NULL REFERENCES tenants,
        pipe_id     uuid        NOT NULL REFERENCES pipes,
        events      integer     NOT NULL CHECK (events > 0),
        body        bytea       NOT NULL,
        received_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    "CREATE INDEX pipe_inbox_pipe_idx ON pipe_inbox (pipe_id, id)",
)

_TABLES = {
    "pipes": "pipes: where events come from, what they must satisfy, where they go",
    "pipe_inbox": "events that arrived over HTTP and are not forwarded yet",
}

_COLUMNS = {
    "pipes.definition": "source, schema, script and sink, as they were last put",
    "pipes.position": "how far a source without acknowledgements has been read",
    "pipes.trouble": "why the pipe stands still; NULL: it does not",
    "pipe_inbox.body": "the events, one a line, as they arrived",
}


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)
    for kind, comments in (("TABLE", _TABLES), ("COLUMN", _COLUMNS)):
        for name, comment in comments.items():
            quoted = comment.replace("'", "''").replace(":", "\\:")
            op.execute(f"COMMENT ON {kind} {name} IS '{quoted}'")


def downgrade() -> None:
    op.execute("DROP TABLE pipe_inbox")
    op.execute("DROP TABLE pipes")
