-- Return the quota that so many more queued executions and bytes would exceed, if any.
--
-- The count is exact under the tenant's exclusive lock, which the caller holds or not. Bytes of
-- params are stored, but are no input of the day.
CREATE OR REPLACE FUNCTION quota_against_batch_v1(
    tenant uuid, items bigint, input_bytes bigint, params_bytes bigint,
    max_queued bigint, max_stored_bytes bigint, max_bytes_per_day bigint
) RETURNS TABLE (quota text, cap bigint, used bigint) LANGUAGE sql VOLATILE AS $$
    SELECT q.quota, q.cap, q.used
    FROM (
        SELECT coalesce(sum(u.queued), 0)::bigint AS queued,
               coalesce(sum(u.stored_bytes), 0)::bigint AS stored_bytes,
               coalesce(sum(u.day_bytes) FILTER (WHERE u.day = utc_today()), 0)::bigint AS day_bytes
        FROM tenant_usage AS u
        WHERE u.tenant_id = tenant
    ) AS counted
    CROSS JOIN LATERAL (
        VALUES ('queued', max_queued, counted.queued, items),
               ('stored-bytes', max_stored_bytes, counted.stored_bytes, input_bytes + params_bytes),
               ('bytes-per-day', max_bytes_per_day, counted.day_bytes, input_bytes)
    ) AS q (quota, cap, used, added)
    WHERE q.used + q.added > q.cap
    LIMIT 1
$$
