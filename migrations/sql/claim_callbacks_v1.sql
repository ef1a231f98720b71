-- Claim up to `room` callbacks that are due, in turns by tenant and within the part of each host.
--
-- The last `reserved` of the room are for tenants that have no attempt under way: receivers that do
-- not answer hold their attempts for long, and cannot hold all. `subjects` are those whose messages
-- the calling process can write.
--
-- The tenants with pending callbacks are found by one index lookup for each (a loose index scan),
-- however many callbacks they have. `turn` is an attempt's number among those of its tenant,
-- `host_turn` among those to its host, counted after the attempts that the calling process has
-- under way. A suspended tenant's callbacks wait.
--
-- The next attempt is set to the end of the lease: if the process dies, the callback is due again
-- by itself. Statistics lag behind a table that grows; a plan that trusts them would read it whole.
CREATE OR REPLACE FUNCTION claim_callbacks_v1(
    subjects text[], room integer, reserved integer, most_of_tenant integer, most_of_host integer, lease_seconds double precision,
    busy_tenants uuid[], attempts_of_tenants integer[],
    busy_hosts text[], attempts_of_hosts integer[]
) RETURNS TABLE (
    id uuid, tenant_id uuid, subject text, subject_id uuid, url text, host text, tries integer,
    lease_token bigint
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH RECURSIVE waiting (tenant_id) AS (
        (SELECT c.tenant_id
         FROM callbacks AS c
         WHERE c.status = 'pending'
         ORDER BY c.tenant_id
         LIMIT 1)
        UNION ALL
        SELECT n.tenant_id
        FROM waiting AS w
        CROSS JOIN LATERAL (
            SELECT c.tenant_id
            FROM callbacks AS c
            WHERE c.status = 'pending' AND c.tenant_id > w.tenant_id
            ORDER BY c.tenant_id
            LIMIT 1
        ) AS n
    ),
    busy_tenant AS MATERIALIZED (
        SELECT b.tenant_id, b.attempts
        FROM unnest(busy_tenants, attempts_of_tenants) AS b (tenant_id, attempts)
    ),
    busy_host AS MATERIALIZED (
        SELECT b.host, b.attempts
        FROM unnest(busy_hosts, attempts_of_hosts) AS b (host, attempts)
    ),
    due AS MATERIALIZED (
        SELECT d.id, d.host, d.next_attempt_at,
               coalesce(b.attempts, 0)
               + row_number() OVER (PARTITION BY w.tenant_id ORDER BY d.next_attempt_at, d.id)
               AS turn
        FROM waiting AS w
        JOIN tenants AS t ON t.id = w.tenant_id AND t.suspended_at IS NULL
        LEFT JOIN busy_tenant AS b ON b.tenant_id = w.tenant_id
        CROSS JOIN LATERAL (
            SELECT c.id, c.host, c.next_attempt_at
            FROM callbacks AS c
            WHERE c.tenant_id = w.tenant_id AND c.status = 'pending' AND c.next_attempt_at <= now()
              AND c.subject = ANY (subjects)
              AND NOT EXISTS (
                  SELECT
                  FROM busy_host AS h
                  WHERE h.host = c.host AND h.attempts >= most_of_host
              )
            ORDER BY c.next_attempt_at
            LIMIT greatest(most_of_tenant - coalesce(b.attempts, 0), 0)
        ) AS d
    ),
    fair AS MATERIALIZED (
        SELECT d.id, d.turn, d.next_attempt_at,
               coalesce(h.attempts, 0)
               + row_number() OVER (PARTITION BY d.host ORDER BY d.turn, d.next_attempt_at)
               AS host_turn
        FROM due AS d
        LEFT JOIN busy_host AS h ON h.host = d.host
    ),
    placed AS MATERIALIZED (
        SELECT f.id, f.turn, row_number() OVER (ORDER BY f.turn, f.next_attempt_at, f.id) AS place
        FROM fair AS f
        WHERE f.host_turn <= most_of_host
    ),
    chosen AS MATERIALIZED (
        SELECT c.id
        FROM placed AS p
        JOIN callbacks AS c ON c.id = p.id
        WHERE (p.turn = 1 OR p.place <= room - reserved)
          AND c.status = 'pending' AND c.next_attempt_at <= now()
        ORDER BY p.place
        LIMIT room
        FOR NO KEY UPDATE OF c SKIP LOCKED
    )
    UPDATE callbacks AS c
    SET lease_token = nextval('lease_tokens'),
        next_attempt_at = clock_timestamp() + make_interval(secs => lease_seconds),
        attempts = c.attempts + 1,
        tries = c.tries + 1
    FROM chosen
    WHERE c.id = chosen.id
    RETURNING c.id, c.tenant_id, c.subject, c.subject_id, c.url, c.host, c.tries,
              c.lease_token;
END
$$
