-- Return the quota that one more execution with `size_bytes` of input would exceed, if any.
--
-- A NULL quota is unlimited. Each query of a volatile function sees what was committed before it
-- began, so a count that is taken under a lock is current. Far from every quota the lock is shared
-- and submissions do not wait for each other: at most max_connections of them are uncommitted, with
-- at most 1 MiB each, which cannot reach the quota. Near a quota, or with a larger input, the lock
-- is exclusive, waits for those commits, and the count is exact.
--
-- Raises serialization_failure when a quota comes near while the function waits for the shared
-- lock, since that lock cannot be made exclusive; nothing was done, and the caller tries again.
CREATE OR REPLACE FUNCTION quota_against_execution_v2(
    tenant uuid, size_bytes bigint,
    max_queued bigint, max_stored_bytes bigint, max_bytes_per_day bigint
) RETURNS TABLE (quota text, cap bigint, used bigint) LANGUAGE plpgsql AS $$
DECLARE
    max_concurrent CONSTANT bigint := current_setting('max_connections')::bigint;
    small_bytes    CONSTANT bigint := 1048576;
    exclusive      boolean;
    is_near        boolean;
    queued         bigint;
    stored_bytes   bigint;
    day_bytes      bigint;
BEGIN
    IF num_nonnulls(max_queued, max_stored_bytes, max_bytes_per_day) = 0 THEN
        RETURN;
    END IF;
    -- The first pass chooses the lock, the second counts under it.
    FOR pass IN 1..2 LOOP
        IF pass = 2 THEN
            IF exclusive THEN
                PERFORM pg_advisory_xact_lock(hashtextextended(tenant::text, 1));
            ELSE
                PERFORM pg_advisory_xact_lock_shared(hashtextextended(tenant::text, 1));
            END IF;
        END IF;
        SELECT coalesce(sum(u.queued), 0), coalesce(sum(u.stored_bytes), 0),
               coalesce(sum(u.day_bytes) FILTER (WHERE u.day = utc_today()), 0)
        INTO queued, stored_bytes, day_bytes
        FROM tenant_usage AS u
        WHERE u.tenant_id = tenant;
        is_near := coalesce(queued + max_concurrent > max_queued, false)
            OR coalesce(stored_bytes + max_concurrent * small_bytes > max_stored_bytes, false)
            OR coalesce(day_bytes + max_concurrent * small_bytes > max_bytes_per_day, false);
        IF pass = 1 THEN
            exclusive := is_near OR (size_bytes > small_bytes
                AND num_nonnulls(max_stored_bytes, max_bytes_per_day) > 0);
        END IF;
    END LOOP;
    IF is_near AND NOT exclusive THEN
        RAISE EXCEPTION 'a quota came near' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN QUERY
    SELECT q.quota, q.cap, q.used
    FROM (VALUES ('queued', max_queued, queued, 1),
                 ('stored-bytes', max_stored_bytes, stored_bytes, size_bytes),
                 ('bytes-per-day', max_bytes_per_day, day_bytes, size_bytes))
         AS q (quota, cap, used, added)
    WHERE q.used + q.added > q.cap
    LIMIT 1;
END
$$
