-- Count the bytes that runs have staged as output in tenant_usage, as those of datasets' parts.
--
-- Publishing a run moves rows from run_outputs to dataset_parts, whose trigger counts them there.
-- Rows are updated in the order of their tenants: two statements that serve several tenants cannot
-- deadlock.
-- Triggers: run_outputs_insert_counts, run_outputs_delete_counts.
CREATE OR REPLACE FUNCTION count_run_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes)
        SELECT tenant_id, usage_shard(), utc_today(), sum(greatest(stored_bytes + index_bytes, 4096))
        FROM added
        GROUP BY tenant_id ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE
        SET stored_bytes = u.stored_bytes + excluded.stored_bytes;
    ELSE
        INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes)
        SELECT tenant_id, usage_shard(), utc_today(), -sum(greatest(stored_bytes + index_bytes, 4096))
        FROM removed
        GROUP BY tenant_id ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE
        SET stored_bytes = u.stored_bytes + excluded.stored_bytes;
    END IF;
    RETURN NULL;
END
$$
