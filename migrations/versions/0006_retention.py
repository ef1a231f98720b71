"""Add retention: mark erased payloads, and keep the progress of the periodic tasks."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# {kept}: the condition of payloads that count as stored.
COUNT_BYTES = """
    CREATE OR REPLACE FUNCTION count_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes, day_bytes)
            SELECT tenant_id, usage_shard(), utc_today(), sum(size_bytes),
                   coalesce(sum(size_bytes) FILTER (WHERE kind = 'input'), 0)
            FROM added
            GROUP BY tenant_id ORDER BY tenant_id
            ON CONFLICT (tenant_id, shard) DO UPDATE
            SET stored_bytes = u.stored_bytes + excluded.stored_bytes,
                day_bytes = CASE WHEN u.day < excluded.day THEN 0 ELSE u.day_bytes END
                            + excluded.day_bytes,
                day = greatest(u.day, excluded.day);
        ELSIF TG_OP = 'DELETE' THEN
            INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes)
            SELECT tenant_id, usage_shard(), utc_today(), -sum(size_bytes)
            FROM removed
            WHERE {kept}
            GROUP BY tenant_id ORDER BY tenant_id
            ON CONFLICT (tenant_id, shard) DO UPDATE
            SET stored_bytes = u.stored_bytes + excluded.stored_bytes;
        ELSE
            INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes)
            SELECT tenant_id, usage_shard(), utc_today(), sum(change)
            FROM (SELECT tenant_id, size_bytes AS change FROM added WHERE {kept}
                  UNION ALL
                  SELECT tenant_id, -size_bytes FROM removed WHERE {kept}) AS changes
            GROUP BY tenant_id HAVING sum(change) <> 0 ORDER BY tenant_id
            ON CONFLICT (tenant_id, shard) DO UPDATE
            SET stored_bytes = u.stored_bytes + excluded.stored_bytes;
        END IF;
        RETURN NULL;
    END
    $$
"""

UP = (
    # An erased payload keeps its hash and size for the receipt.
    """
    ALTER TABLE payloads
        ADD COLUMN erased_at timestamptz,
        DROP CONSTRAINT payloads_check,
        ADD CONSTRAINT payloads_kept_or_erased_check
            CHECK (num_nonnulls(body, blob_key, erased_at) = 1)
    """,
    COUNT_BYTES.format(kept="erased_at IS NULL"),
    # The cleanup of the blob store looks up which of many keys any row names.
    "CREATE INDEX payloads_blob_idx ON payloads (blob_key) WHERE blob_key IS NOT NULL",
    # In the order of their ends: the oldest are found without reading the others.
    """
    CREATE INDEX executions_finished_idx ON executions (finished_at, id)
    WHERE finished_at IS NOT NULL
    """,
    # A row is locked during a step, and says where the next one goes on.
    """
    CREATE TABLE retention_duties (
        duty        text        PRIMARY KEY CHECK (duty IN ('payloads', 'blobs')),
        due_at      timestamptz NOT NULL DEFAULT '-infinity',
        finished_at timestamptz NOT NULL DEFAULT '-infinity',
        id          uuid        NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
    )
    """,
    # Tells the blobs of this installation from another's.
    """
    CREATE TABLE installation (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        id  uuid    NOT NULL DEFAULT gen_random_uuid()
    )
    """,
)
DOWN = (
    "DROP TABLE installation",
    "DROP TABLE retention_duties",
    "DROP INDEX executions_finished_idx",
    "DROP INDEX payloads_blob_idx",
    COUNT_BYTES.format(kept="true"),
    "ALTER TABLE payloads DROP CONSTRAINT payloads_kept_or_erased_check",
    # What was erased cannot come back: older code reads it as empty.
    "UPDATE payloads SET body = '' WHERE erased_at IS NOT NULL",
    """
    ALTER TABLE payloads
        DROP COLUMN erased_at,
        ADD CONSTRAINT payloads_check CHECK (num_nonnulls(body, blob_key) = 1)
    """,
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
