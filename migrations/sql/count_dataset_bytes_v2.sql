-- Count the bytes of datasets' parts in tenant_usage: stored ones, and those received in the day.
--
-- Stored are the compressed part and its index, or 4 KiB, which its rows and its places in caches are
-- worth; received are the raw bytes. A part counts from its
-- upload on, whether a snapshot has it or not, until it is deleted. Rows are updated in the order
-- of their tenants: two statements that serve several tenants cannot deadlock.
-- What a run publishes did not arrive: its transaction says so (app/runs/publication.py).
-- Triggers: dataset_parts_insert_counts, dataset_parts_delete_counts.
CREATE OR REPLACE FUNCTION count_dataset_bytes_v2() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes, day_bytes)
        SELECT tenant_id, usage_shard(), utc_today(), sum(greatest(stored_bytes + index_bytes, 4096)),
               CASE WHEN current_setting('crivo.publishes_run', true) = 'on' THEN 0
                    ELSE sum(raw_bytes) END
        FROM added
        GROUP BY tenant_id ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE
        SET stored_bytes = u.stored_bytes + excluded.stored_bytes,
            day_bytes = CASE WHEN u.day < excluded.day THEN 0 ELSE u.day_bytes END
                        + excluded.day_bytes,
            day = greatest(u.day, excluded.day);
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
