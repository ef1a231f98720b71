-- Count each tenant's queued executions in tenant_usage.
--
-- Triggers count every change of state, so no statement can forget to. Rows are updated in the
-- order of their tenants: two statements that serve several tenants cannot deadlock.
-- Triggers: executions_insert_counts, executions_update_counts, executions_delete_counts.
CREATE OR REPLACE FUNCTION count_queued() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO tenant_usage AS u (tenant_id, shard, day, queued)
        SELECT tenant_id, usage_shard(), utc_today(), count(*)
        FROM added
        WHERE status = 'queued'
        GROUP BY tenant_id ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE SET queued = u.queued + excluded.queued;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO tenant_usage AS u (tenant_id, shard, day, queued)
        SELECT tenant_id, usage_shard(), utc_today(), -count(*)
        FROM removed
        WHERE status = 'queued'
        GROUP BY tenant_id ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE SET queued = u.queued + excluded.queued;
    ELSE
        INSERT INTO tenant_usage AS u (tenant_id, shard, day, queued)
        SELECT tenant_id, usage_shard(), utc_today(), sum(change)
        FROM (SELECT tenant_id, 1 AS change FROM added WHERE status = 'queued'
              UNION ALL
              SELECT tenant_id, -1 FROM removed WHERE status = 'queued') AS changes
        GROUP BY tenant_id HAVING sum(change) <> 0 ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE SET queued = u.queued + excluded.queued;
    END IF;
    RETURN NULL;
END
$$
