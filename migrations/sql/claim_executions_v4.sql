-- Claim up to `most` queued executions for a worker, and up to `ahead` more that it will begin within
-- moments: the tenants take turns, and memory decides what fits.
--
-- One claim runs at a time, so each sees what the one before it took: no cap is overshot, and the
-- turns are in order. A claim is short: it skips locked rows instead of waiting for them, and its
-- commit is not flushed. When a crash of the server loses a claim, the execution is still queued;
-- the worker that ran it reports a token that no row has.
--
-- Turns: the next slot goes to the tenant with the fewest worker-seconds for its weight, of those
-- that have something queued, are not suspended and are below their cap (the tenant's max_running,
-- else `default_max_running`). `served` and `served_seconds` say what the worker's slots were held
-- for since its last claim; they count first.
--
-- Memory: each execution counts with its limit and `overhead_bytes`. `room_bytes` is what the
-- worker can let run now, all together (NULL: anything); a larger execution is passed over for
-- another worker. When no worker has taken it within a second, a worker that could hold it alone
-- (`largest_bytes`) and has none waiting for memory (`may_wait`) claims it; its admission then
-- keeps room for it. `passed_over` means that another claim at once may find more.
--
-- Ahead: claimed so, an execution is `held` until its worker reports that it has begun, with a
-- renewal or its outcome; a rescue of a held one counts no attempt. Only what no worker has lost
-- before is claimed ahead (a rescue keeps worker_id), so an execution that kills its worker comes
-- back uncounted once at most. Never ahead: a tenant with a cap, whose slots would be taken by what
-- does not run, and what other live workers could begin at once. Nothing is held past the turn of
-- what may not be: a tenant with a cap loses no turn to others' held claims.
--
-- `only_executions` leaves the parts of runs to later claims: a worker whose slots parts hold has one
-- more for what is no part, so that nobody's execution waits for a run.
--
-- Script, version, labels and params are read here, not by a join outside, whose snapshot may be
-- older than what the function claims.
--
-- Statistics of a queue are always out of date, so plans must not depend on them: every step has
-- an index, and the settings below leave the planner no other choice.
CREATE OR REPLACE FUNCTION claim_executions_v4(
    worker uuid, most integer, ahead integer, lease_seconds double precision, default_max_running bigint,
    served uuid[], served_seconds double precision[],
    room_bytes bigint, largest_bytes bigint, overhead_bytes bigint, may_wait boolean,
    seen_within_seconds double precision, only_executions boolean
) RETURNS TABLE (
    id uuid, tenant_id uuid, lease_token bigint, attempts smallint, wall_ms integer,
    max_cpu_ms integer, memory_bytes bigint, max_output_bytes bigint, seed bigint,
    clock_ms bigint, created_at timestamptz, source bytea, sha256 bytea, size_bytes bigint,
    body bytea, blob_key text, script text, version integer, labels jsonb, params bytea,
    request_id text, held boolean, passed_over boolean, batch_id uuid, run_id uuid
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    claim_time      timestamptz;
    waiting_tenants uuid[];
    others          bigint := 0;
    beyond          bigint := 0;
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

    IF ahead > 0 THEN
        SELECT coalesce(sum(w.slots), 0) INTO others
        FROM workers AS w
        WHERE w.id <> worker AND w.trouble IS NULL
          AND w.seen_at > claim_time - make_interval(secs => seen_within_seconds);
        SELECT least(ahead, greatest(count(*) - most - others, 0)) INTO beyond
        FROM (SELECT FROM queue AS q LIMIT most + ahead + others) AS q;
    END IF;

    -- One index probe for each tenant, however much it has queued.
    waiting_tenants := ARRAY(
        WITH RECURSIVE probe (tenant_id) AS (
            (SELECT q.tenant_id FROM queue AS q ORDER BY q.tenant_id LIMIT 1)
            UNION ALL
            SELECT (SELECT q.tenant_id FROM queue AS q WHERE q.tenant_id > p.tenant_id
                    ORDER BY q.tenant_id LIMIT 1)
            FROM probe AS p
            WHERE p.tenant_id IS NOT NULL
        )
        SELECT p.tenant_id FROM probe AS p WHERE p.tenant_id IS NOT NULL
    );

    UPDATE tenant_shares AS s
    SET active = false
    WHERE s.active
      AND s.tenant_id <> ALL (waiting_tenants)
      AND NOT EXISTS (SELECT FROM executions AS e
                      WHERE e.tenant_id = s.tenant_id AND e.status = 'running');

    -- New and returning tenants start at the lowest usage among active tenants: idling earns no
    -- credit and erases no debt.
    INSERT INTO tenant_shares AS s (tenant_id, used_seconds, used_at, active)
    SELECT t.id, t.weight * lowest.used, claim_time, true
    FROM unnest(waiting_tenants) AS w (tenant_id)
    JOIN tenants AS t ON t.id = w.tenant_id AND t.suspended_at IS NULL
    CROSS JOIN (
        SELECT coalesce(min(faded(a.used_seconds, a.used_at, claim_time) / o.weight), 0) AS used
        FROM tenant_shares AS a
        JOIN tenants AS o ON o.id = a.tenant_id
        WHERE a.active AND o.suspended_at IS NULL
    ) AS lowest
    WHERE NOT EXISTS (SELECT FROM tenant_shares AS a
                      WHERE a.tenant_id = t.id AND a.active)
    ON CONFLICT (tenant_id) DO UPDATE
    SET used_seconds = greatest(faded(s.used_seconds, s.used_at, claim_time),
                                excluded.used_seconds),
        used_at = claim_time,
        active = true;

    RETURN QUERY
    WITH running AS MATERIALIZED (
        -- A running execution counts by its age, and at first by its tenant's mean.
        SELECT e.tenant_id, count(*) AS slots,
               sum(greatest(s.mean_seconds, extract(epoch FROM claim_time - e.started_at)))
               AS seconds
        FROM executions AS e
        JOIN tenant_shares AS s ON s.tenant_id = e.tenant_id
        WHERE e.status = 'running'
        GROUP BY e.tenant_id
    ),
    candidates AS MATERIALIZED (
        SELECT t.id AS tenant_id, t.weight, s.mean_seconds,
               faded(s.used_seconds, s.used_at, claim_time) + coalesce(r.seconds, 0) AS seconds,
               coalesce(t.max_running, default_max_running) IS NULL AS may_hold,
               least(most + beyond, coalesce(t.max_running, default_max_running)
                                    - coalesce(r.slots, 0)) AS free_slots
        FROM unnest(waiting_tenants) AS w (tenant_id)
        JOIN tenants AS t ON t.id = w.tenant_id AND t.suspended_at IS NULL
        JOIN tenant_shares AS s ON s.tenant_id = t.id
        LEFT JOIN running AS r ON r.tenant_id = t.id
    ),
    turns AS MATERIALIZED (
        -- As if each were claimed by itself: a tenant is charged for its first execution before
        -- its second one is considered.
        SELECT c.tenant_id, c.may_hold, n.priority, n.execution_id, n.bytes, n.fits,
               (c.seconds + (n.turn - 1) * c.mean_seconds) / c.weight AS share
        FROM candidates AS c
        CROSS JOIN LATERAL (
            SELECT q.priority, q.execution_id, q.memory_bytes + overhead_bytes AS bytes,
                   room_bytes IS NULL OR q.memory_bytes + overhead_bytes <= room_bytes AS fits,
                   row_number() OVER (ORDER BY q.priority DESC, q.execution_id) AS turn
            FROM queue AS q
            WHERE q.tenant_id = c.tenant_id
              AND NOT (only_executions AND q.is_part)
              AND (room_bytes IS NULL
                   OR q.memory_bytes + overhead_bytes <= room_bytes
                   OR (may_wait AND q.memory_bytes + overhead_bytes <= largest_bytes
                       AND q.queued_at < claim_time - interval '1 second'))
            ORDER BY q.priority DESC, q.execution_id
            LIMIT greatest(c.free_slots, 0)
        ) AS n
        ORDER BY share, n.execution_id
        LIMIT most + beyond
    ),
    packed AS MATERIALIZED (
        -- Those that fit together, or, at its turn, one that is the next to have room.
        SELECT p.*, count(*) OVER () > count(*) FILTER (WHERE p.taken) OVER () AS passed_over,
               count(*) FILTER (WHERE p.taken)
               OVER (ORDER BY p.share, p.execution_id ROWS UNBOUNDED PRECEDING) > most AS held
        FROM (
            SELECT s.*,
                   room_bytes IS NULL
                   OR (s.fits AND s.oversized = 0 AND s.total_bytes <= room_bytes)
                   OR (NOT s.fits AND s.oversized = 1) AS taken
            FROM (
                SELECT t.*,
                       count(*) FILTER (WHERE NOT t.fits) OVER in_turn AS oversized,
                       sum(t.bytes) FILTER (WHERE t.fits) OVER in_turn AS total_bytes
                FROM turns AS t
                WINDOW in_turn AS (ORDER BY t.share, t.execution_id
                                   ROWS UNBOUNDED PRECEDING)
            ) AS s
        ) AS p
    ),
    in_order AS MATERIALIZED (
        SELECT t.*,
               count(*) FILTER (
                   WHERE t.held AND NOT (t.may_hold AND t.fits
                                         AND e.attempts = 0 AND e.worker_id IS NULL)
               ) OVER (ORDER BY t.share, t.execution_id ROWS UNBOUNDED PRECEDING) AS not_to_hold
        FROM packed AS t
        JOIN executions AS e ON e.id = t.execution_id
        WHERE t.taken
    ),
    locked AS MATERIALIZED (
        -- A row that is being cancelled is locked, and skipped.
        SELECT e.id, t.share, t.held, t.passed_over
        FROM in_order AS t
        JOIN queue AS q ON q.tenant_id = t.tenant_id AND q.priority = t.priority
                       AND q.execution_id = t.execution_id
        JOIN executions AS e ON e.id = t.execution_id AND e.status = 'queued'
        WHERE t.not_to_hold = 0
        FOR NO KEY UPDATE OF q, e SKIP LOCKED
    ),
    claimed AS (
        UPDATE executions AS e
        SET status = 'running',
            started_at = clock_timestamp(),
            held = locked.held,
            attempts = e.attempts + 1,
            worker_id = worker,
            lease_token = 1 + floor(random() * 9007199254740991)::bigint,
            lease_expires_at = clock_timestamp() + make_interval(secs => lease_seconds)
        FROM locked
        WHERE e.id = locked.id
        RETURNING e.*, locked.share, locked.passed_over
    )
    SELECT c.id, c.tenant_id, c.lease_token, c.attempts, c.wall_ms, c.max_cpu_ms,
           c.memory_bytes, c.max_output_bytes, c.seed, c.clock_ms, c.created_at,
           v.source, i.sha256, i.size_bytes, i.body, i.blob_key,
           s.name, c.version, c.labels, p.body, c.request_id, c.held, c.passed_over,
           c.batch_id, c.run_id
    FROM claimed AS c
    JOIN script_versions AS v ON v.script_id = c.script_id AND v.version = c.version
    JOIN scripts AS s ON s.id = c.script_id
    JOIN payloads AS i ON i.execution_id = c.id AND i.kind = 'input'
    LEFT JOIN payloads AS p ON p.execution_id = c.id AND p.kind = 'params'
    ORDER BY c.share, c.id;
END
$$
