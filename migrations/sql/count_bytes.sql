-- Count each tenant's stored bytes, and the input bytes of the day, in tenant_usage.
--
-- Triggers count every change, so no statement can forget to. The bytes of a day are those of
-- inputs that were accepted on that UTC day. An erased payload keeps its size for the receipt and
-- no longer counts. Rows are updated in the order of their tenants: two statements that serve
-- several tenants cannot deadlock.
-- Triggers: payloads_insert_counts, payloads_update_counts, payloads_delete_counts.
CREATE OR REPLACE FUNCTION count_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes, day_bytes)
        SELECT tenant_id, usage_shard(), utc_today(), sum(size_bytes),
               coalesce(sum(size_bytes) FILTER (WHERE kind = 'input'), 0)
        FROM added
        GROUP BY tenant_id ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE
        SET stored_bytes = u.stored_bytes + excluded.stored_bytes,
            day_bytes = CASE WHEN u.day < excluded.day THEN 0 ELSE u.day_bytes END
                        + excluded.day_bytes,
            day = greatest(u.day, excluded.day);
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes)
        SELECT tenant_id, usage_shard(), utc_today(), -sum(size_bytes)
        FROM removed
        WHERE erased_at IS NULL
        GROUP BY tenant_id ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE
        SET stored_bytes = u.stored_bytes + excluded.stored_bytes;
    ELSE
        INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes)
        SELECT tenant_id, usage_shard(), utc_today(), sum(change)
        FROM (SELECT tenant_id, size_bytes AS change FROM added WHERE erased_at IS NULL
              UNION ALL
              SELECT tenant_id, -size_bytes FROM removed WHERE erased_at IS NULL) AS changes
        GROUP BY tenant_id HAVING sum(change) <> 0 ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE
        SET stored_bytes = u.stored_bytes + excluded.stored_bytes;
    END IF;
    RETURN NULL;
END
$$
