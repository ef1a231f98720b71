-- Count the bytes of files that exports keep here in tenant_usage, as stored.
--
-- Exports that continue each other share blobs: each counts once, from its first row to its last.
-- Rows of stage `base` are never the first ones, and files between stages are never shared.
-- Of two statements that delete the last rows of a blob at once, the second one waits and sees that
-- the first has: so the lock, and a query after it. Rows are locked and updated in the order of
-- their tenants: two statements that serve several tenants cannot deadlock.
-- Triggers: export_files_insert_counts, export_files_delete_counts.
CREATE OR REPLACE FUNCTION count_export_files() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes)
        SELECT tenant_id, usage_shard(), utc_today(), sum(greatest(bytes, 4096))
        FROM added
        WHERE blob_key IS NOT NULL AND stage <> 'base'
        GROUP BY tenant_id ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE
        SET stored_bytes = u.stored_bytes + excluded.stored_bytes;
    ELSE
        PERFORM pg_advisory_xact_lock(hashtextextended(t.tenant_id::text, 9))
        FROM (
            SELECT DISTINCT tenant_id
            FROM removed
            WHERE blob_key IS NOT NULL AND published
            ORDER BY tenant_id
        ) AS t;
        INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes)
        SELECT tenant_id, usage_shard(), utc_today(), -sum(greatest(bytes, 4096))
        FROM (
            SELECT DISTINCT tenant_id, stage IN ('map', 'bucket') AS is_own, blob_key, bytes
            FROM removed
            WHERE blob_key IS NOT NULL
        ) AS r
        -- No join: a plan for many rows would serve few.
        WHERE is_own OR (
            SELECT true
            FROM export_files AS f
            WHERE f.blob_key = r.blob_key AND f.tenant_id = r.tenant_id
            LIMIT 1
        ) IS NULL
        GROUP BY tenant_id ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE
        SET stored_bytes = u.stored_bytes + excluded.stored_bytes;
    END IF;
    RETURN NULL;
END
$$
