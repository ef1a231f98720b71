"""Add claims: a queue table, each tenant's share of the workers, priority, cancellation."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UP = (
    """
    ALTER TABLE executions
        ADD COLUMN priority smallint NOT NULL DEFAULT 0 CHECK (priority BETWEEN -10 AND 10)
    """,
    # Room on a page for the next version of a row: renewing a lease then touches no index.
    "ALTER TABLE executions SET (fillfactor = 90)",
    # The queued executions alone. Claims read this table and not the history, and vacuum cleans up
    # after them quickly because its indexes are small.
    """
    CREATE TABLE queue (
        tenant_id    uuid     NOT NULL,
        priority     smallint NOT NULL,
        execution_id uuid     NOT NULL
    ) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
            autovacuum_vacuum_cost_delay = 0)
    """,
    """
    CREATE UNIQUE INDEX queue_turn_idx ON queue (tenant_id, priority DESC, execution_id)
    """,
    "INSERT INTO queue SELECT tenant_id, priority, id FROM executions WHERE status = 'queued'",
    # See migrations/sql/keep_queue.sql.
    """
    CREATE FUNCTION keep_queue() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'INSERT' AND OLD.status = 'queued' THEN
            DELETE FROM queue AS q
            WHERE q.tenant_id = OLD.tenant_id AND q.priority = OLD.priority
              AND q.execution_id = OLD.id;
        END IF;
        IF TG_OP <> 'DELETE' AND NEW.status = 'queued' THEN
            INSERT INTO queue (tenant_id, priority, execution_id)
            VALUES (NEW.tenant_id, NEW.priority, NEW.id);
        END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER executions_insert_queues
    AFTER INSERT ON executions
    FOR EACH ROW WHEN (NEW.status = 'queued') EXECUTE FUNCTION keep_queue()
    """,
    """
    CREATE TRIGGER executions_update_queues
    AFTER UPDATE OF status, priority ON executions
    FOR EACH ROW WHEN ((OLD.status = 'queued' OR NEW.status = 'queued')
                       AND (OLD.status, OLD.priority) IS DISTINCT FROM (NEW.status, NEW.priority))
    EXECUTE FUNCTION keep_queue()
    """,
    """
    CREATE TRIGGER executions_delete_queues
    AFTER DELETE ON executions
    FOR EACH ROW WHEN (OLD.status = 'queued') EXECUTE FUNCTION keep_queue()
    """,
    "DROP INDEX executions_queue_idx",
    # Few executions run at once: looking for expired leases reads all of them.
    "DROP INDEX executions_lease_idx",
    "CREATE INDEX executions_running_idx ON executions (tenant_id) WHERE status = 'running'",
    # The worker-seconds that each tenant has used, halved every 60 s.
    """
    CREATE TABLE tenant_shares (
        tenant_id    uuid             PRIMARY KEY REFERENCES tenants,
        used_seconds double precision NOT NULL DEFAULT 0,
        used_at      timestamptz      NOT NULL DEFAULT clock_timestamp(),
        mean_seconds double precision NOT NULL DEFAULT 0.1,
        active       boolean          NOT NULL DEFAULT false
    ) WITH (fillfactor = 50)
    """,
    "CREATE INDEX tenant_shares_active_idx ON tenant_shares (tenant_id) WHERE active",
    """
    CREATE FUNCTION faded(seconds double precision, since timestamptz, moment timestamptz)
    RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
        -- Beyond a thousand halvings PostgreSQL would report an underflow.
        SELECT seconds
               * power(0.5::float8, least(extract(epoch FROM moment - since) / 60, 900)::float8)
    $$
    """,
    # See migrations/sql/claim_executions_v2.sql.
    """
    CREATE FUNCTION claim_executions(
        worker uuid, most integer, lease_seconds double precision, default_max_running bigint,
        served uuid[], served_seconds double precision[]
    ) RETURNS TABLE (
        id uuid, tenant_id uuid, lease_token bigint, attempts smallint, wall_ms integer,
        max_cpu_ms integer, memory_bytes bigint, max_output_bytes bigint, seed bigint,
        clock_ms bigint, created_at timestamptz, source bytea, sha256 bytea, size_bytes bigint,
        body bytea, blob_key text
    ) LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
    SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan
    AS $$
    #variable_conflict use_column
    DECLARE
        moment  timestamptz;
        waiting uuid[];
    BEGIN
        PERFORM set_config('synchronous_commit', 'off', true);
        PERFORM pg_advisory_xact_lock(hashtextextended('claims', 0));
        moment := clock_timestamp();

        IF cardinality(served) > 0 THEN
            INSERT INTO tenant_shares AS s (tenant_id, used_seconds, used_at, mean_seconds)
            SELECT u.tenant_id, sum(u.seconds), moment, avg(u.seconds)
            FROM unnest(served, served_seconds) AS u (tenant_id, seconds)
            JOIN tenants AS t ON t.id = u.tenant_id
            GROUP BY u.tenant_id
            ON CONFLICT (tenant_id) DO UPDATE
            SET used_seconds = faded(s.used_seconds, s.used_at, moment) + excluded.used_seconds,
                used_at = moment,
                mean_seconds = 0.7 * s.mean_seconds + 0.3 * excluded.mean_seconds;
        END IF;

        -- One look into the index for each tenant, however much it has.
        waiting := ARRAY(
            WITH RECURSIVE found (tenant_id) AS (
                (SELECT q.tenant_id FROM queue AS q ORDER BY q.tenant_id LIMIT 1)
                UNION ALL
                SELECT (SELECT q.tenant_id FROM queue AS q WHERE q.tenant_id > f.tenant_id
                        ORDER BY q.tenant_id LIMIT 1)
                FROM found AS f
                WHERE f.tenant_id IS NOT NULL
            )
            SELECT f.tenant_id FROM found AS f WHERE f.tenant_id IS NOT NULL
        );

        UPDATE tenant_shares AS s
        SET active = false
        WHERE s.active
          AND s.tenant_id <> ALL (waiting)
          AND NOT EXISTS (SELECT FROM executions AS e
                          WHERE e.tenant_id = s.tenant_id AND e.status = 'running');

        -- Who returns, or is new, starts where the one is who has had least of those that are
        -- here: neither are the others made to wait for what they had meanwhile, nor does it
        -- help to leave.
        INSERT INTO tenant_shares AS s (tenant_id, used_seconds, used_at, active)
        SELECT t.id, t.weight * least.used, moment, true
        FROM unnest(waiting) AS w (tenant_id)
        JOIN tenants AS t ON t.id = w.tenant_id AND t.suspended_at IS NULL
        CROSS JOIN (
            SELECT coalesce(min(faded(a.used_seconds, a.used_at, moment) / o.weight), 0) AS used
            FROM tenant_shares AS a
            JOIN tenants AS o ON o.id = a.tenant_id
            WHERE a.active AND o.suspended_at IS NULL
        ) AS least
        WHERE NOT EXISTS (SELECT FROM tenant_shares AS a
                          WHERE a.tenant_id = t.id AND a.active)
        ON CONFLICT (tenant_id) DO UPDATE
        SET used_seconds = greatest(faded(s.used_seconds, s.used_at, moment),
                                    excluded.used_seconds),
            used_at = moment,
            active = true;

        RETURN QUERY
        WITH running AS MATERIALIZED (
            -- What runs counts by its age, and at first by what the tenant's mostly take.
            SELECT e.tenant_id, count(*) AS slots,
                   sum(greatest(s.mean_seconds, extract(epoch FROM moment - e.started_at)))
                   AS seconds
            FROM executions AS e
            JOIN tenant_shares AS s ON s.tenant_id = e.tenant_id
            WHERE e.status = 'running'
            GROUP BY e.tenant_id
        ),
        candidates AS MATERIALIZED (
            SELECT t.id AS tenant_id, t.weight, s.mean_seconds,
                   faded(s.used_seconds, s.used_at, moment) + coalesce(r.seconds, 0) AS seconds,
                   least(most, coalesce(t.max_running, default_max_running)
                               - coalesce(r.slots, 0)) AS room
            FROM unnest(waiting) AS w (tenant_id)
            JOIN tenants AS t ON t.id = w.tenant_id AND t.suspended_at IS NULL
            JOIN tenant_shares AS s ON s.tenant_id = t.id
            LEFT JOIN running AS r ON r.tenant_id = t.id
        ),
        turns AS MATERIALIZED (
            -- As if each were claimed by itself: a tenant's second one comes after its first
            -- one was charged.
            SELECT c.tenant_id, n.priority, n.execution_id,
                   (c.seconds + (n.turn - 1) * c.mean_seconds) / c.weight AS share
            FROM candidates AS c
            CROSS JOIN LATERAL (
                SELECT q.priority, q.execution_id,
                       row_number() OVER (ORDER BY q.priority DESC, q.execution_id) AS turn
                FROM queue AS q
                WHERE q.tenant_id = c.tenant_id
                ORDER BY q.priority DESC, q.execution_id
                LIMIT greatest(c.room, 0)
            ) AS n
            ORDER BY share, n.execution_id
            LIMIT most
        ),
        mine AS MATERIALIZED (
            -- Passing over what is being cancelled.
            SELECT e.id, t.share
            FROM turns AS t
            JOIN queue AS q ON q.tenant_id = t.tenant_id AND q.priority = t.priority
                           AND q.execution_id = t.execution_id
            JOIN executions AS e ON e.id = t.execution_id AND e.status = 'queued'
            FOR NO KEY UPDATE OF q, e SKIP LOCKED
        ),
        claimed AS (
            UPDATE executions AS e
            SET status = 'running',
                started_at = clock_timestamp(),
                attempts = e.attempts + 1,
                worker_id = worker,
                lease_token = 1 + floor(random() * 9007199254740991)::bigint,
                lease_expires_at = clock_timestamp() + make_interval(secs => lease_seconds)
            FROM mine
            WHERE e.id = mine.id
            RETURNING e.*, mine.share
        )
        SELECT c.id, c.tenant_id, c.lease_token, c.attempts, c.wall_ms, c.max_cpu_ms,
               c.memory_bytes, c.max_output_bytes, c.seed, c.clock_ms, c.created_at,
               v.source, i.sha256, i.size_bytes, i.body, i.blob_key
        FROM claimed AS c
        JOIN script_versions AS v ON v.script_id = c.script_id AND v.version = c.version
        JOIN payloads AS i ON i.execution_id = c.id AND i.kind = 'input'
        ORDER BY c.share, c.id;
    END
    $$
    """,
)

DOWN = (
    """
    DROP FUNCTION claim_executions(uuid, integer, double precision, bigint, uuid[],
                                   double precision[])
    """,
    "DROP FUNCTION faded(double precision, timestamptz, timestamptz)",
    "DROP TABLE tenant_shares",
    "DROP INDEX executions_running_idx",
    """
    CREATE INDEX executions_lease_idx ON executions (lease_expires_at)
    WHERE status = 'running'
    """,
    "CREATE INDEX executions_queue_idx ON executions (id) WHERE status = 'queued'",
    "DROP TRIGGER executions_delete_queues ON executions",
    "DROP TRIGGER executions_update_queues ON executions",
    "DROP TRIGGER executions_insert_queues ON executions",
    "DROP FUNCTION keep_queue()",
    "DROP TABLE queue",
    "ALTER TABLE executions RESET (fillfactor)",
    "ALTER TABLE executions DROP COLUMN priority",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
