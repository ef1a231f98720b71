-- Return the quota that one more part of a dataset would exceed, if any.
--
-- A NULL quota is unlimited. The lock is that of quota_against_execution_v2, and exclusive: a part
-- has megabytes, and its transaction is short. The count under it is exact.
CREATE OR REPLACE FUNCTION quota_against_part_v1(
    tenant uuid, more_stored_bytes bigint, more_day_bytes bigint,
    max_stored_bytes bigint, max_bytes_per_day bigint
) RETURNS TABLE (quota text, cap bigint, used bigint) LANGUAGE plpgsql AS $$
BEGIN
    IF num_nonnulls(max_stored_bytes, max_bytes_per_day) = 0 THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(tenant::text, 1));
    RETURN QUERY
    SELECT q.quota, q.cap, q.used
    FROM (
        SELECT coalesce(sum(u.stored_bytes), 0)::bigint AS stored_bytes,
               coalesce(sum(u.day_bytes) FILTER (WHERE u.day = utc_today()), 0)::bigint
               AS day_bytes
        FROM tenant_usage AS u
        WHERE u.tenant_id = tenant
    ) AS usage
    CROSS JOIN LATERAL (
        VALUES ('stored-bytes', max_stored_bytes, usage.stored_bytes, more_stored_bytes),
               ('bytes-per-day', max_bytes_per_day, usage.day_bytes, more_day_bytes)
    ) AS q (quota, cap, used, added)
    WHERE q.used + q.added > q.cap
    LIMIT 1;
END
$$
