-- Begin an execution that was handed over to a worker: count its attempt, give it a full lease and
-- return what the worker needs to run it, as claim_executions_v2 does.
--
-- Without a row the hand-over is no longer valid: it was begun before, its execution was cancelled,
-- or it was rescued. As that of a claim, the commit is not flushed.
CREATE OR REPLACE FUNCTION begin_execution_v1(
    execution uuid, token bigint, lease_seconds double precision
) RETURNS TABLE (
    id uuid, tenant_id uuid, lease_token bigint, attempts smallint, wall_ms integer,
    max_cpu_ms integer, memory_bytes bigint, max_output_bytes bigint, seed bigint,
    clock_ms bigint, created_at timestamptz, source bytea, sha256 bytea, size_bytes bigint,
    body bytea, blob_key text, script text, version integer, labels jsonb, params bytea,
    request_id text
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    RETURN QUERY
    WITH begun AS (
        UPDATE executions AS e
        SET attempts = 1,
            started_at = clock_timestamp(),
            lease_expires_at = clock_timestamp() + make_interval(secs => lease_seconds)
        WHERE e.id = execution AND e.status = 'running' AND e.lease_token = token
          AND e.attempts = 0
        RETURNING e.*
    )
    SELECT b.id, b.tenant_id, b.lease_token, b.attempts, b.wall_ms, b.max_cpu_ms,
           b.memory_bytes, b.max_output_bytes, b.seed, b.clock_ms, b.created_at,
           v.source, i.sha256, i.size_bytes, i.body, i.blob_key,
           s.name, b.version, b.labels, p.body, b.request_id
    FROM begun AS b
    JOIN script_versions AS v ON v.script_id = b.script_id AND v.version = b.version
    JOIN scripts AS s ON s.id = b.script_id
    JOIN payloads AS i ON i.execution_id = b.id AND i.kind = 'input'
    LEFT JOIN payloads AS p ON p.execution_id = b.id AND p.kind = 'params';
END
$$
