-- Claim up to `most` queued parts of runs for the engine of a worker, whose slots hold nothing else.
--
-- As in claim_executions_v4, one claim runs at a time, the next slot goes to the tenant with the
-- fewest worker-seconds for its weight, no cap is overshot, and the commit is not flushed. A part
-- with a higher memory limit than `max_memory_bytes` (NULL: any) is left to the workers themselves.
--
-- A run has few parts queued at once, so they are found by the runs that have not ended: the queue of
-- executions may be long, and is not searched.
CREATE OR REPLACE FUNCTION claim_parts_v1(
    worker uuid, most integer, lease_seconds double precision, default_max_running bigint,
    served uuid[], served_seconds double precision[], max_memory_bytes bigint
) RETURNS TABLE (
    id uuid, tenant_id uuid, lease_token bigint, attempts smallint, wall_ms integer,
    max_cpu_ms integer, memory_bytes bigint, max_output_bytes bigint, seed bigint,
    clock_ms bigint, created_at timestamptz, source bytea, sha256 bytea, size_bytes bigint,
    body bytea, blob_key text, script text, version integer, labels jsonb, params bytea,
    request_id text, run_id uuid
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    claim_time timestamptz;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_advisory_xact_lock(hashtextextended('claims', 0));
    claim_time := clock_timestamp();

    IF cardinality(served) > 0 THEN
        INSERT INTO tenant_shares AS s (tenant_id, used_seconds, used_at, mean_seconds)
        SELECT u.tenant_id, sum(u.seconds), claim_time, avg(u.seconds)
        FROM unnest(served, served_seconds) AS u (tenant_id, seconds)
        JOIN tenants AS t ON t.id = u.tenant_id
        GROUP BY u.tenant_id
        ON CONFLICT (tenant_id) DO UPDATE
        SET used_seconds = faded(s.used_seconds, s.used_at, claim_time) + excluded.used_seconds,
            used_at = claim_time,
            mean_seconds = 0.7 * s.mean_seconds + 0.3 * excluded.mean_seconds;
    END IF;

    RETURN QUERY
    WITH waiting AS MATERIALIZED (
        SELECT e.tenant_id, e.id, e.priority,
               row_number() OVER (PARTITION BY e.tenant_id ORDER BY e.priority DESC, e.id) AS turn
        FROM runs AS r
        JOIN run_parts AS p ON p.run_id = r.id
                           AND p.execution_id IS NOT NULL AND p.lease_token IS NULL
        JOIN executions AS e ON e.id = p.execution_id AND e.status = 'queued'
        WHERE r.finished_at IS NULL
          AND (max_memory_bytes IS NULL OR e.memory_bytes <= max_memory_bytes)
    ),
    running AS MATERIALIZED (
        SELECT e.tenant_id, count(*) AS slots,
               sum(extract(epoch FROM claim_time - e.started_at)) AS seconds
        FROM executions AS e
        WHERE e.status = 'running'
        GROUP BY e.tenant_id
    ),
    turns AS MATERIALIZED (
        SELECT w.tenant_id, w.priority, w.id,
               (coalesce(faded(s.used_seconds, s.used_at, claim_time), 0) + coalesce(r.seconds, 0)
                + (w.turn - 1 + coalesce(r.slots, 0)) * coalesce(s.mean_seconds, 0.1))
               / t.weight AS share
        FROM waiting AS w
        JOIN tenants AS t ON t.id = w.tenant_id AND t.suspended_at IS NULL
        LEFT JOIN tenant_shares AS s ON s.tenant_id = w.tenant_id
        LEFT JOIN running AS r ON r.tenant_id = w.tenant_id
        WHERE w.turn <= coalesce(coalesce(t.max_running, default_max_running)
                                 - coalesce(r.slots, 0), most)
        ORDER BY share, w.id
        LIMIT most
    ),
    locked AS MATERIALIZED (
        -- A row that is being cancelled is locked, and skipped.
        SELECT e.id, t.share
        FROM turns AS t
        JOIN queue AS q ON q.tenant_id = t.tenant_id AND q.priority = t.priority
                       AND q.execution_id = t.id
        JOIN executions AS e ON e.id = t.id AND e.status = 'queued'
        FOR NO KEY UPDATE OF q, e SKIP LOCKED
    ),
    claimed AS (
        UPDATE executions AS e
        SET status = 'running',
            started_at = clock_timestamp(),
            held = false,
            attempts = e.attempts + 1,
            worker_id = worker,
            lease_token = 1 + floor(random() * 9007199254740991)::bigint,
            lease_expires_at = clock_timestamp() + make_interval(secs => lease_seconds)
        FROM locked
        WHERE e.id = locked.id
        RETURNING e.*, locked.share
    )
    SELECT c.id, c.tenant_id, c.lease_token, c.attempts, c.wall_ms, c.max_cpu_ms,
           c.memory_bytes, c.max_output_bytes, c.seed, c.clock_ms, c.created_at,
           v.source, i.sha256, i.size_bytes, i.body, i.blob_key,
           s.name, c.version, c.labels, p.body, c.request_id, c.run_id
    FROM claimed AS c
    JOIN script_versions AS v ON v.script_id = c.script_id AND v.version = c.version
    JOIN scripts AS s ON s.id = c.script_id
    JOIN payloads AS i ON i.execution_id = c.id AND i.kind = 'input'
    LEFT JOIN payloads AS p ON p.execution_id = c.id AND p.kind = 'params'
    ORDER BY c.share, c.id;
END
$$
