-- Count the bytes of dead letters in tenant_usage: events, until they are erased, and reasons.
--
-- Rows are updated in the order of their tenants: two statements that serve several tenants cannot
-- deadlock.
-- Triggers: dead_letters_insert_counts, dead_letters_update_counts, dead_letters_delete_counts.
CREATE OR REPLACE FUNCTION count_dead_letters() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes)
        SELECT tenant_id, usage_shard(), utc_today(),
               sum(octet_length(error) + coalesce(octet_length(event), 0))
        FROM added
        GROUP BY tenant_id ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE
        SET stored_bytes = u.stored_bytes + excluded.stored_bytes;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes)
        SELECT tenant_id, usage_shard(), utc_today(),
               -sum(octet_length(error) + coalesce(octet_length(event), 0))
        FROM removed
        GROUP BY tenant_id ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE
        SET stored_bytes = u.stored_bytes + excluded.stored_bytes;
    ELSE
        INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes)
        SELECT tenant_id, usage_shard(), utc_today(), sum(change)
        FROM (SELECT tenant_id, octet_length(error) + coalesce(octet_length(event), 0) AS change
              FROM added
              UNION ALL
              SELECT tenant_id, -octet_length(error) - coalesce(octet_length(event), 0)
              FROM removed) AS changes
        GROUP BY tenant_id HAVING sum(change) <> 0 ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE
        SET stored_bytes = u.stored_bytes + excluded.stored_bytes;
    END IF;
    RETURN NULL;
END
$$
