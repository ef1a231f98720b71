-- Call quota_against_execution_v2, for the API processes of release 0.1.0.
--
-- Deprecated: kept for one release, so that 0.1.0 runs beside its successor.
CREATE OR REPLACE FUNCTION quota_against_execution(
    tenant uuid, size_bytes bigint,
    max_queued bigint, max_stored_bytes bigint, max_bytes_per_day bigint
) RETURNS TABLE (quota text, cap bigint, used bigint) LANGUAGE sql AS $$
    SELECT q.quota, q.cap, q.used
    FROM quota_against_execution_v2(
        tenant, size_bytes, max_queued, max_stored_bytes, max_bytes_per_day
    ) AS q
$$
