-- Claim up to `room` callbacks that are due, in turns by tenant and within the part of each host.
--
-- The last `reserved` of the room are for tenants that have no attempt under way: receivers that do
-- not answer hold their attempts for long, and cannot hold all. `subjects` are those whose messages
-- the calling process can write.
--
-- The tenants with pending callbacks are found by one index lookup for each (a loose index scan),
-- however many callbacks they have. Of each tenant, the `earliest` are looked at, as many as it may
-- get. If a full host holds up some of these, callbacks to others may be due `behind` them: they
-- are found by host, one lookup for each of the first 100. So a claim reads a bounded number of
-- rows, however many callbacks wait for hosts that do not answer.
--
-- `turn` is an attempt's number among those of its tenant, `host_turn` among those to its host,
-- counted after the attempts that the calling process has under way. A suspended tenant's callbacks
-- wait.
--
-- The next attempt is set to the end of the lease: if the process dies, the callback is due again
-- by itself, later after each further death. Its place in the schedule counts what was recorded.
--
-- Statistics lag behind a table that grows; a plan that trusts them would read it whole.
CREATE OR REPLACE FUNCTION claim_callbacks_v1(
    subjects text[], room integer, reserved integer, most_of_tenant integer, most_of_host integer,
    lease_seconds double precision, longest_lease_seconds double precision,
    busy_tenants uuid[], attempts_of_tenants integer[],
    busy_hosts text[], attempts_of_hosts integer[]
) RETURNS TABLE (
    id uuid, tenant_id uuid, subject text, subject_id uuid, url text, host text, tries integer,
    unrecorded integer, lease_token bigint
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan
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
        SELECT b.host, b.attempts, b.attempts >= most_of_host AS is_full
        FROM unnest(busy_hosts, attempts_of_hosts) AS b (host, attempts)
    ),
    earliest AS MATERIALIZED (
        SELECT w.tenant_id, p.most, e.id, e.host, e.next_attempt_at,
               EXISTS (SELECT FROM busy_host AS h WHERE h.host = e.host AND h.is_full) AS is_held_up
        FROM waiting AS w
        JOIN tenants AS t ON t.id = w.tenant_id AND t.suspended_at IS NULL
        LEFT JOIN busy_tenant AS b ON b.tenant_id = w.tenant_id
        CROSS JOIN LATERAL (
            SELECT greatest(most_of_tenant - coalesce(b.attempts, 0), 0) AS most
        ) AS p
        CROSS JOIN LATERAL (
            SELECT c.id, c.host, c.next_attempt_at
            FROM callbacks AS c
            WHERE c.tenant_id = w.tenant_id AND c.status = 'pending' AND c.next_attempt_at <= now()
              AND c.subject = ANY (subjects)
            ORDER BY c.next_attempt_at
            LIMIT p.most
        ) AS e
    ),
    behind AS MATERIALIZED (
        SELECT f.tenant_id, o.id, o.host, o.next_attempt_at
        FROM (
            SELECT e.tenant_id, e.most
            FROM earliest AS e
            GROUP BY e.tenant_id, e.most
            HAVING count(*) = e.most AND bool_or(e.is_held_up)
        ) AS f
        CROSS JOIN LATERAL (
            WITH RECURSIVE known (host, next_attempt_at, number) AS (
                (SELECT c.host, c.next_attempt_at, 1
                 FROM callbacks AS c
                 WHERE c.tenant_id = f.tenant_id AND c.status = 'pending'
                 ORDER BY c.host, c.next_attempt_at
                 LIMIT 1)
                UNION ALL
                SELECT n.host, n.next_attempt_at, k.number + 1
                FROM known AS k
                CROSS JOIN LATERAL (
                    SELECT c.host, c.next_attempt_at
                    FROM callbacks AS c
                    WHERE c.tenant_id = f.tenant_id AND c.status = 'pending' AND c.host > k.host
                    ORDER BY c.host, c.next_attempt_at
                    LIMIT 1
                ) AS n
                WHERE k.number < 100
            ),
            other AS MATERIALIZED (
                SELECT k.host
                FROM known AS k
                WHERE k.next_attempt_at <= now()
                  AND NOT EXISTS (SELECT FROM busy_host AS h WHERE h.host = k.host AND h.is_full)
                ORDER BY k.next_attempt_at
                LIMIT f.most
            )
            SELECT d.id, d.host, d.next_attempt_at
            FROM other
            CROSS JOIN LATERAL (
                SELECT c.id, c.host, c.next_attempt_at
                FROM callbacks AS c
                WHERE c.tenant_id = f.tenant_id AND c.host = other.host AND c.status = 'pending'
                  AND c.next_attempt_at <= now() AND c.subject = ANY (subjects)
                ORDER BY c.next_attempt_at
                LIMIT most_of_host
            ) AS d
            LIMIT f.most
        ) AS o
    ),
    due AS MATERIALIZED (
        SELECT d.id, d.host, d.next_attempt_at,
               coalesce(b.attempts, 0)
               + row_number() OVER (PARTITION BY d.tenant_id ORDER BY d.next_attempt_at, d.id)
               AS turn
        FROM (
            SELECT e.tenant_id, e.id, e.host, e.next_attempt_at
            FROM earliest AS e
            WHERE NOT e.is_held_up
            UNION
            SELECT b.tenant_id, b.id, b.host, b.next_attempt_at
            FROM behind AS b
        ) AS d
        LEFT JOIN busy_tenant AS b ON b.tenant_id = d.tenant_id
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
        WHERE f.host_turn <= most_of_host AND f.turn <= most_of_tenant
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
        next_attempt_at = clock_timestamp()
            + make_interval(secs => least(lease_seconds * 2 ^ least(c.unrecorded, 30), longest_lease_seconds)),
        attempts = c.attempts + 1,
        unrecorded = c.unrecorded + 1
    FROM chosen
    WHERE c.id = chosen.id
    RETURNING c.id, c.tenant_id, c.subject, c.subject_id, c.url, c.host, c.tries + 1,
              c.unrecorded, c.lease_token;
END
$$
