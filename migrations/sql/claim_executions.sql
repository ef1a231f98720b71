-- Call claim_executions_v2 without a limit of memory, for workers that do not send one.
--
-- Deprecated: release 0.1.0 already calls claim_executions_v2.
CREATE OR REPLACE FUNCTION claim_executions(
    worker uuid, most integer, lease_seconds double precision, default_max_running bigint,
    served uuid[], served_seconds double precision[]
) RETURNS TABLE (
    id uuid, tenant_id uuid, lease_token bigint, attempts smallint, wall_ms integer,
    max_cpu_ms integer, memory_bytes bigint, max_output_bytes bigint, seed bigint,
    clock_ms bigint, created_at timestamptz, source bytea, sha256 bytea, size_bytes bigint,
    body bytea, blob_key text
) LANGUAGE sql AS $$
    SELECT c.id, c.tenant_id, c.lease_token, c.attempts, c.wall_ms, c.max_cpu_ms,
           c.memory_bytes, c.max_output_bytes, c.seed, c.clock_ms, c.created_at,
           c.source, c.sha256, c.size_bytes, c.body, c.blob_key
    FROM claim_executions_v2(
        worker => worker,
        most => most,
        lease_seconds => lease_seconds,
        default_max_running => default_max_running,
        served => served,
        served_seconds => served_seconds,
        room_bytes => NULL,
        largest_bytes => NULL,
        overhead_bytes => 0,
        may_wait => false
    ) AS c
$$
