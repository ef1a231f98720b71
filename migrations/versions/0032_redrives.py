"""Re-drives: try dead letters, failed records of runs and failed executions again, at a rate."""

from pathlib import Path

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql"

UP = (
    """
    CREATE TABLE redrives (
        id               uuid        PRIMARY KEY,
        tenant_id        uuid        NOT NULL REFERENCES tenants,
        filter           jsonb       NOT NULL,
        per_second       integer     CHECK (per_second > 0),
        status           text        NOT NULL DEFAULT 'queued'
                                     CHECK (status IN ('queued', 'running', 'finished', 'failed',
                                                       'cancelled')),
        matched          bigint      NOT NULL CHECK (matched >= 0),
        moved            bigint      NOT NULL DEFAULT 0 CHECK (moved >= 0),
        failed_again     bigint      NOT NULL DEFAULT 0 CHECK (failed_again >= 0),
        script_id        uuid,
        script_version   integer,
        trouble          text,
        worker_id        uuid,
        lease_token      bigint,
        lease_expires_at timestamptz,
        created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
        started_at       timestamptz,
        finished_at      timestamptz,
        CONSTRAINT redrives_lease_check
            CHECK (num_nulls(worker_id, lease_token, lease_expires_at) IN (0, 3))
    )
    """,
    "CREATE INDEX redrives_tenant_idx ON redrives (tenant_id, id)",
    "CREATE INDEX redrives_open_idx ON redrives (id) WHERE status IN ('queued', 'running')",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)
    op.execute("COMMENT ON TABLE redrives IS 'attempts to bring failed work back, by filter'")


def downgrade() -> None:
    op.execute("DROP TABLE redrives")
