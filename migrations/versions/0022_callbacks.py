"""Callbacks: a URL on executions, and the outbox of requests that report ends."""

from pathlib import Path

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql"

UP = (
    """
    ALTER TABLE executions
    ADD COLUMN callback_url text CHECK (octet_length(callback_url) <= 2048)
    """,
    """
    CREATE TABLE callbacks (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        tenant_id uuid NOT NULL REFERENCES tenants (id),
        subject text NOT NULL CHECK (subject IN ('execution', 'batch')),
        subject_id uuid NOT NULL,
        url text NOT NULL,
        host text NOT NULL GENERATED ALWAYS AS (substring(url FROM '^[a-z]+://([^/?]+)')) STORED,
        status text NOT NULL
            CHECK (status IN ('pending', 'delivered', 'failed', 'disabled')),
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
        tries integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
        unrecorded integer NOT NULL DEFAULT 0 CHECK (unrecorded >= 0),
        next_attempt_at timestamptz,
        lease_token bigint,
        UNIQUE (subject_id, subject),
        CHECK ((status = 'pending') = (next_attempt_at IS NOT NULL))
    )
    """,
    """
    CREATE INDEX callbacks_pending_idx ON callbacks (tenant_id, next_attempt_at)
    WHERE status = 'pending'
    """,
    """
    CREATE INDEX callbacks_host_idx ON callbacks (tenant_id, host, next_attempt_at)
    WHERE status = 'pending'
    """,
    """
    CREATE TABLE callback_attempts (
        callback_id uuid NOT NULL REFERENCES callbacks (id) ON DELETE CASCADE,
        number integer NOT NULL CHECK (number > 0),
        tenant_id uuid NOT NULL REFERENCES tenants (id),
        started_at timestamptz NOT NULL,
        status_code smallint,
        PRIMARY KEY (callback_id, number)
    )
    """,
    """
    CREATE TABLE callback_secrets (
        id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL REFERENCES tenants (id),
        secret bytea NOT NULL CHECK (octet_length(secret) = 32),
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        expires_at timestamptz
    )
    """,
    "CREATE INDEX callback_secrets_tenant_idx ON callback_secrets (tenant_id, id DESC)",
    """
    CREATE TABLE disabled_callback_urls (
        id uuid PRIMARY KEY,
        tenant_id uuid NOT NULL REFERENCES tenants (id),
        url text NOT NULL,
        disabled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        UNIQUE (tenant_id, url)
    )
    """,
)

_TRIGGERS = (
    """
    CREATE TRIGGER executions_end_adds_callback
    AFTER UPDATE OF finished_at ON executions
    FOR EACH ROW
    WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL AND NEW.callback_url IS NOT NULL)
    EXECUTE FUNCTION add_callback('execution')
    """,
    """
    CREATE TRIGGER executions_deletion_deletes_callback
    AFTER DELETE ON executions
    FOR EACH ROW
    WHEN (OLD.callback_url IS NOT NULL)
    EXECUTE FUNCTION delete_callback('execution')
    """,
)

_TABLES = {
    "callback_attempts": "attempts to deliver callbacks, the last fifty of each",
    "callback_secrets": "keys of tenants that sign their callbacks; readable, since they sign",
    "callbacks": "outbox of callbacks; added by a trigger as their subjects end",
    "disabled_callback_urls": "URLs whose receivers have answered that they are gone",
}

_COLUMNS = {
    "callback_attempts.status_code": "NULL: no answer",
    "callback_secrets.expires_at": "NULL: the newest; a replaced one signs until then",
    "callbacks.attempts": "attempts begun",
    "callbacks.lease_token": "fences reports of an attempt",
    "callbacks.next_attempt_at": "while an attempt is under way, when it is given up for lost",
    "callbacks.subject": "what ended: a row of executions or batches; deleted with it by a trigger",
    "callbacks.tries": "attempts recorded since it was added or resent: the place in the schedule",
    "callbacks.unrecorded": "claims since the last record; more than one: processes died",
    "executions.callback_url": "receives a callback when the execution ends",
}


def upgrade() -> None:
    for statement in UP:
        op.execute(statement.replace("://", "\\://"))
    for name in ("add_callback", "delete_callback", "claim_callbacks_v1"):
        op.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"))
    for trigger in _TRIGGERS:
        op.execute(trigger)
    for kind, comments in (("TABLE", _TABLES), ("COLUMN", _COLUMNS)):
        for name, comment in comments.items():
            quoted = comment.replace("'", "''").replace(":", "\\:")
            op.execute(f"COMMENT ON {kind} {name} IS '{quoted}'")


def downgrade() -> None:
    op.execute("DROP TRIGGER executions_end_adds_callback ON executions")
    op.execute("DROP TRIGGER executions_deletion_deletes_callback ON executions")
    op.execute("DROP FUNCTION add_callback")
    op.execute("DROP FUNCTION delete_callback")
    op.execute("DROP FUNCTION claim_callbacks_v1")
    for table in _TABLES:
        op.execute(f"DROP TABLE {table} CASCADE")
    op.execute("ALTER TABLE executions DROP COLUMN callback_url")
