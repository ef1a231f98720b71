"""Dead letters of pipes, and re-drives, which bring dead letters and failed work back."""

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
        id             uuid        PRIMARY KEY,
        tenant_id      uuid        NOT NULL REFERENCES tenants,
        pipe_id        uuid        NOT NULL REFERENCES pipes,
        event_id       text        COLLATE "C" NOT NULL
                                   CHECK (octet_length(event_id) BETWEEN 1 AND 200),
        state          text        NOT NULL DEFAULT 'dead'
                                   CHECK (state IN ('dead', 'moved', 'erased')),
        kind           text        NOT NULL,
        error          bytea       NOT NULL,
        event          bytea,
        size_bytes     bigint      NOT NULL CHECK (size_bytes >= 0),
        schema_id      uuid,
        schema_version integer,
        script_id      uuid,
        script_version integer,
        attempts       integer     NOT NULL DEFAULT 1 CHECK (attempts > 0),
        redrive_id     uuid,
        created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
        failed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
        moved_at       timestamptz,
        CONSTRAINT dead_letters_event_key UNIQUE (pipe_id, event_id),
        CONSTRAINT dead_letters_event_check CHECK ((event IS NULL) = (state = 'erased')),
        CONSTRAINT dead_letters_moved_check CHECK (state <> 'moved' OR moved_at IS NOT NULL)
    )
    """,
    "CREATE INDEX dead_letters_tenant_idx ON dead_letters (tenant_id, id)",
    "CREATE INDEX dead_letters_state_idx ON dead_letters (tenant_id, pipe_id, state, id)",
)

_TABLES = {"dead_letters": "events that a pipe could not forward, with the reason"}

_COLUMNS = {
    "dead_letters.event_id": "the event's stable id, as the sink would get it",
    "dead_letters.event": "the event as it arrived, byte for byte; NULL: erased",
    "dead_letters.error": "the error document of the last attempt, as ASCII JSON",
    "dead_letters.redrive_id": "the re-drive that tried it last",
}


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)
    for kind, comments in (("TABLE", _TABLES), ("COLUMN", _COLUMNS)):
        for name, comment in comments.items():
            quoted = comment.replace("'", "''").replace(":", "\\:")
            op.execute(f"COMMENT ON {kind} {name} IS '{quoted}'")


def downgrade() -> None:
    op.execute("DROP TABLE dead_letters")
