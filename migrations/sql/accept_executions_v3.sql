-- Accept several executions of one tenant; return those that are stored, with their versions.
--
-- Each is resolved, limited and stored as the statement for one does it (app/executions/
-- acceptance.py); only the input of a version of `io` bytes keeps its media type. One that cannot be accepted is left out; the statement for one says why. Near a
-- quota that has no room for all of them, none is accepted: one by one, as many as fit will be.
--
-- One with an idempotency key is left out, too, if the key is in use or not the first of its kind
-- here. Keys are locked as find_idempotency_key_v1 locks them, and looked up by a later statement,
-- whose snapshot has what the last holder of the lock committed.
--
-- With a quota, the lock is exclusive. The margin within which single acceptances count without
-- waiting for each other (quota_against_execution_v2) expects one uncommitted execution a
-- connection, and a batch would be more.
CREATE OR REPLACE FUNCTION accept_executions_v3(
    tenant uuid, ids uuid[],
    script_ids uuid[], script_names text[], script_versions integer[], aliases text[],
    walls_ms integer[], max_cpus_ms integer[], memories_bytes bigint[], max_outputs_bytes bigint[],
    default_wall_ms integer, default_memory_bytes bigint, min_memory_bytes bigint,
    ceiling_wall_ms integer, ceiling_cpu_ms integer,
    ceiling_memory_bytes bigint, ceiling_output_bytes bigint,
    labels jsonb[], seeds bigint[], priorities smallint[],
    traceparents text[], request_ids text[],
    input_sha256s bytea[], input_sizes bigint[], input_bodies bytea[], input_params bytea[],
    input_types text[],
    keys text[], fingerprints bytea[], idempotency_hours integer,
    max_queued bigint, max_stored_bytes bigint, max_bytes_per_day bigint,
    seen_within_seconds double precision
) RETURNS TABLE (id uuid, script_id uuid, version integer) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz;
    free   boolean[];
BEGIN
    IF num_nonnulls(max_queued, max_stored_bytes, max_bytes_per_day) > 0 THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(tenant::text, 1));
        IF EXISTS (
            SELECT
            FROM quota_against_execution_v2(
                tenant => tenant,
                size_bytes => (SELECT sum(i.size_bytes)::bigint
                               FROM unnest(input_sizes) AS i (size_bytes)),
                max_queued => max_queued - (cardinality(ids) - 1),
                max_stored_bytes => max_stored_bytes,
                max_bytes_per_day => max_bytes_per_day
            )
        ) THEN
            RETURN;
        END IF;
    END IF;
    free := ARRAY(
        SELECT row_number() OVER (PARTITION BY k.key ORDER BY k.place) = 1
               AND pg_try_advisory_xact_lock(
                   hashtextextended(k.key, hashtextextended(tenant::text, 2)))
        FROM unnest(keys) WITH ORDINALITY AS k (key, place)
        ORDER BY k.place
    );
    moment := clock_timestamp();
    RETURN QUERY
    WITH submission AS MATERIALIZED (
        SELECT *
        FROM ROWS FROM (
            unnest(ids), unnest(script_ids), unnest(script_names), unnest(script_versions),
            unnest(aliases), unnest(walls_ms), unnest(max_cpus_ms), unnest(memories_bytes),
            unnest(max_outputs_bytes), unnest(labels), unnest(seeds), unnest(priorities),
            unnest(traceparents), unnest(request_ids), unnest(input_sha256s),
            unnest(input_sizes), unnest(input_bodies), unnest(input_params), unnest(input_types),
            unnest(keys), unnest(fingerprints), unnest(free)
        ) AS u (
            id, script_id, script_name, version, alias, wall_ms, max_cpu_ms, memory_bytes,
            max_output_bytes, labels, seed, priority, traceparent, request_id, sha256, size_bytes,
            body, params, media_type, key, fingerprint, free
        )
        WHERE u.key IS NULL
           OR u.free
              AND NOT EXISTS (
                  SELECT
                  FROM idempotency_keys AS k
                  WHERE k.tenant_id = tenant AND k.key = u.key AND k.expires_at > moment
              )
    ),
    workforce AS MATERIALIZED (
        SELECT CASE WHEN count(*) = count(w.max_memory_bytes) THEN max(w.max_memory_bytes) END
               AS max_memory_bytes
        FROM workers AS w
        WHERE w.seen_at > now() - make_interval(secs => seen_within_seconds)
    ),
    resolved AS MATERIALIZED (
        SELECT u.id, s.id AS script_id, v.version, v.io, v.wall_ms, v.max_cpu_ms, v.max_output_bytes,
               workforce.max_memory_bytes,
               least(coalesce(u.memory_bytes,
                              v.memory_bytes,
                              greatest(least(default_memory_bytes, workforce.max_memory_bytes),
                                       min_memory_bytes)),
                     ceiling_memory_bytes) AS memory_bytes
        FROM submission AS u
        CROSS JOIN workforce
        JOIN scripts AS s
          ON s.tenant_id = tenant AND (s.id = u.script_id OR s.name = u.script_name)
        LEFT JOIN script_aliases AS a
               ON a.tenant_id = tenant AND a.script_id = s.id AND a.alias = u.alias
        CROSS JOIN LATERAL (
            SELECT *
            FROM script_versions AS v
            WHERE v.tenant_id = tenant AND v.script_id = s.id
              AND (v.version = coalesce(u.version, a.version) OR u.alias = 'latest')
            ORDER BY v.version DESC
            LIMIT 1
        ) AS v
        WHERE s.archived_at IS NULL
    ),
    accepted AS (
        INSERT INTO executions
               (id, tenant_id, script_id, version, wall_ms, max_cpu_ms, memory_bytes,
                max_output_bytes, labels, seed, priority, traceparent, request_id, created_at,
                clock_ms)
        SELECT u.id, tenant, r.script_id, r.version,
               least(coalesce(u.wall_ms, r.wall_ms, default_wall_ms), ceiling_wall_ms),
               least(coalesce(u.max_cpu_ms, r.max_cpu_ms, u.wall_ms, r.wall_ms, default_wall_ms),
                     ceiling_cpu_ms),
               r.memory_bytes,
               least(coalesce(u.max_output_bytes, r.max_output_bytes), ceiling_output_bytes),
               u.labels, u.seed, u.priority, u.traceparent, u.request_id, moment,
               floor(extract(epoch FROM moment) * 1000)
        FROM submission AS u
        JOIN resolved AS r ON r.id = u.id
        WHERE (r.memory_bytes > r.max_memory_bytes) IS NOT TRUE
        ORDER BY u.id
        RETURNING executions.id, executions.script_id, executions.version
    ),
    stored AS (
        INSERT INTO payloads (execution_id, kind, tenant_id, sha256, size_bytes, body, media_type)
        SELECT accepted.id, p.kind, tenant, p.sha256, p.size_bytes, p.body, p.media_type
        FROM accepted
        JOIN submission AS u ON u.id = accepted.id
        JOIN resolved AS r ON r.id = accepted.id
        CROSS JOIN LATERAL (
            VALUES ('input', u.sha256, u.size_bytes, u.body,
                    CASE WHEN r.io = 'bytes' THEN u.media_type END),
                   ('params', sha256(u.params), length(u.params), u.params, NULL)
        ) AS p (kind, sha256, size_bytes, body, media_type)
        WHERE p.body IS NOT NULL
    ),
    remembered AS (
        INSERT INTO idempotency_keys AS k (tenant_id, key, fingerprint, resource, expires_at)
        SELECT tenant, u.key, u.fingerprint, u.id::text,
               moment + make_interval(hours => idempotency_hours)
        FROM accepted
        JOIN submission AS u ON u.id = accepted.id
        WHERE u.key IS NOT NULL
        ON CONFLICT (tenant_id, key)
        DO UPDATE SET fingerprint = excluded.fingerprint,
                      resource = excluded.resource,
                      expires_at = excluded.expires_at
    )
    SELECT accepted.id, accepted.script_id, accepted.version FROM accepted;
END
$$
