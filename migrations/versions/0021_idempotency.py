"""Idempotency keys, by which a repeated request creates nothing, and replays."""

from pathlib import Path

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE idempotency_keys (
            tenant_id uuid NOT NULL REFERENCES tenants (id),
            key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
            fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
            resource text NOT NULL CHECK (resource <> ''),
            expires_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, key)
        )
    """)
    op.execute("""
        COMMENT ON TABLE idempotency_keys IS 'keys of requests, and what each request created'
    """)
    op.execute("CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at)")
    op.execute("""
        CREATE TABLE replays (
            execution_id uuid PRIMARY KEY REFERENCES executions (id) ON DELETE CASCADE,
            tenant_id uuid NOT NULL REFERENCES tenants (id),
            replay_of uuid NOT NULL,
            status text NOT NULL,
            output_sha256 bytea CHECK (length(output_sha256) = 32),
            error bytea
        )
    """)
    op.execute("""
        COMMENT ON TABLE replays IS
            'executions that repeat another, and the outcome of that one'
    """)
    for name in ("find_idempotency_key_v1", "accept_executions_v2"):
        op.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("DROP FUNCTION accept_executions_v2")
    op.execute("DROP FUNCTION find_idempotency_key_v1")
    op.execute("DROP TABLE replays")
    op.execute("DROP TABLE idempotency_keys")
