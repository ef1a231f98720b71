"""Add memory: workers report what limits they can keep, and claim what fits."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_KEEP_QUEUE = """
CREATE OR REPLACE FUNCTION keep_queue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.status = 'queued' THEN
        DELETE FROM queue AS q
        WHERE q.tenant_id = OLD.tenant_id AND q.priority = OLD.priority
          AND q.execution_id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.status = 'queued' THEN
        INSERT INTO queue ({columns})
        VALUES ({values});
    END IF;
    RETURN NULL;
END
$$
"""

UP = (
    # The highest memory limit that the worker can keep; NULL: any, or its release is older.
    "ALTER TABLE workers ADD COLUMN max_memory_bytes bigint CHECK (max_memory_bytes >= 0)",
    "ALTER TABLE queue ADD COLUMN memory_bytes bigint NOT NULL DEFAULT 0",
    "ALTER TABLE queue ADD COLUMN queued_at timestamptz NOT NULL DEFAULT clock_timestamp()",
    """
    UPDATE queue AS q
    SET memory_bytes = e.memory_bytes
    FROM executions AS e
    WHERE e.id = q.execution_id
    """,
    _KEEP_QUEUE.format(
        columns="tenant_id, priority, execution_id, memory_bytes",
        values="NEW.tenant_id, NEW.priority, NEW.id, NEW.memory_bytes",
    ),
    # See migrations/sql/claim_executions_v2.sql. Workers of older releases still call the first
    # version.
    """
    CREATE FUNCTION claim_executions_v2(
        worker uuid, most integer, lease_seconds double precision, default_max_running bigint,
        served uuid[], served_seconds double precision[],
        room_bytes bigint, largest_bytes bigint, overhead_bytes bigint, may_wait boolean
    ) RETURNS TABLE (
        id uuid, tenant_id uuid, lease_token bigint, attempts smallint, wall_ms integer,
        max_cpu_ms integer, memory_bytes bigint, max_output_bytes bigint, seed bigint,
        clock_ms bigint, created_at timestamptz, source bytea, sha256 bytea, size_bytes bigint,
        body bytea, blob_key text, script text, version integer, labels jsonb, params bytea,
        request_id text, passed_over boolean
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
            SELECT c.tenant_id, n.priority, n.execution_id, n.bytes, n.fits,
                   (c.seconds + (n.turn - 1) * c.mean_seconds) / c.weight AS share
            FROM candidates AS c
            CROSS JOIN LATERAL (
                SELECT q.priority, q.execution_id, q.memory_bytes + overhead_bytes AS bytes,
                       room_bytes IS NULL OR q.memory_bytes + overhead_bytes <= room_bytes AS fits,
                       row_number() OVER (ORDER BY q.priority DESC, q.execution_id) AS turn
                FROM queue AS q
                WHERE q.tenant_id = c.tenant_id
                  AND (room_bytes IS NULL
                       OR q.memory_bytes + overhead_bytes <= room_bytes
                       OR (may_wait AND q.memory_bytes + overhead_bytes <= largest_bytes
                           AND q.queued_at < moment - interval '1 second'))
                ORDER BY q.priority DESC, q.execution_id
                LIMIT greatest(c.room, 0)
            ) AS n
            ORDER BY share, n.execution_id
            LIMIT most
        ),
        packed AS MATERIALIZED (
            -- Those that fit together; or, at its turn, one that is then the next to have room.
            SELECT p.*, count(*) OVER () > count(*) FILTER (WHERE p.taken) OVER () AS passed_over
            FROM (
                SELECT s.*,
                       room_bytes IS NULL
                       OR (s.fits AND s.large = 0 AND s.together <= room_bytes)
                       OR (NOT s.fits AND s.large = 1) AS taken
                FROM (
                    SELECT t.*,
                           count(*) FILTER (WHERE NOT t.fits) OVER in_turn AS large,
                           sum(t.bytes) FILTER (WHERE t.fits) OVER in_turn AS together
                    FROM turns AS t
                    WINDOW in_turn AS (ORDER BY t.share, t.execution_id
                                       ROWS UNBOUNDED PRECEDING)
                ) AS s
            ) AS p
        ),
        mine AS MATERIALIZED (
            -- Passing over what is being cancelled.
            SELECT e.id, t.share, t.passed_over
            FROM packed AS t
            JOIN queue AS q ON q.tenant_id = t.tenant_id AND q.priority = t.priority
                           AND q.execution_id = t.execution_id
            JOIN executions AS e ON e.id = t.execution_id AND e.status = 'queued'
            WHERE t.taken
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
            RETURNING e.*, mine.share, mine.passed_over
        )
        SELECT c.id, c.tenant_id, c.lease_token, c.attempts, c.wall_ms, c.max_cpu_ms,
               c.memory_bytes, c.max_output_bytes, c.seed, c.clock_ms, c.created_at,
               v.source, i.sha256, i.size_bytes, i.body, i.blob_key,
               s.name, c.version, c.labels, p.body, c.request_id, c.passed_over
        FROM claimed AS c
        JOIN script_versions AS v ON v.script_id = c.script_id AND v.version = c.version
        JOIN scripts AS s ON s.id = c.script_id
        JOIN payloads AS i ON i.execution_id = c.id AND i.kind = 'input'
        LEFT JOIN payloads AS p ON p.execution_id = c.id AND p.kind = 'params'
        ORDER BY c.share, c.id;
    END
    $$
    """,
)

DOWN = (
    """
    DROP FUNCTION claim_executions_v2(uuid, integer, double precision, bigint, uuid[],
                                      double precision[], bigint, bigint, bigint, boolean)
    """,
    _KEEP_QUEUE.format(
        columns="tenant_id, priority, execution_id", values="NEW.tenant_id, NEW.priority, NEW.id"
    ),
    "ALTER TABLE queue DROP COLUMN queued_at",
    "ALTER TABLE queue DROP COLUMN memory_bytes",
    "ALTER TABLE workers DROP COLUMN max_memory_bytes",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
