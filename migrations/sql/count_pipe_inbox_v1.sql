-- Count the events that wait in the inboxes of pipes: by pipe in pipe_inbox_counts, and with their
-- bytes, as stored, in tenant_usage.
--
-- Their bytes have been received on the day that they arrive. Rows are updated in the order of their
-- keys, and the row of tenant_usage first: two transactions that change the same counters take turns
-- there, and cannot deadlock.
-- Triggers: pipe_inbox_insert_counts, pipe_inbox_update_counts, pipe_inbox_delete_counts.
CREATE OR REPLACE FUNCTION count_pipe_inbox_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO tenant_usage AS u
               (tenant_id, shard, day, stored_bytes, day_bytes, inbox_bytes, inbox_events)
        SELECT tenant_id, usage_shard(), utc_today(), sum(octet_length(body)),
               sum(octet_length(body)), sum(octet_length(body)), sum(events - events_done)
        FROM added
        GROUP BY tenant_id ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE
        SET stored_bytes = u.stored_bytes + excluded.stored_bytes,
            day_bytes = CASE WHEN u.day < excluded.day THEN 0 ELSE u.day_bytes END
                        + excluded.day_bytes,
            day = greatest(u.day, excluded.day),
            inbox_bytes = u.inbox_bytes + excluded.inbox_bytes,
            inbox_events = u.inbox_events + excluded.inbox_events;
        INSERT INTO pipe_inbox_counts AS c (tenant_id, pipe_id, shard, events)
        SELECT tenant_id, pipe_id, usage_shard(), sum(events - events_done)
        FROM added
        GROUP BY tenant_id, pipe_id ORDER BY tenant_id, pipe_id
        ON CONFLICT (tenant_id, pipe_id, shard) DO UPDATE
        SET events = c.events + excluded.events;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO tenant_usage AS u (tenant_id, shard, day, inbox_events)
        SELECT tenant_id, usage_shard(), utc_today(), sum(change)
        FROM (SELECT tenant_id, events - events_done AS change FROM added
              UNION ALL
              SELECT tenant_id, events_done - events FROM removed) AS changes
        GROUP BY tenant_id ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE
        SET inbox_events = u.inbox_events + excluded.inbox_events;
        INSERT INTO pipe_inbox_counts AS c (tenant_id, pipe_id, shard, events)
        SELECT tenant_id, pipe_id, usage_shard(), sum(change)
        FROM (SELECT tenant_id, pipe_id, events - events_done AS change FROM added
              UNION ALL
              SELECT tenant_id, pipe_id, events_done - events FROM removed) AS changes
        GROUP BY tenant_id, pipe_id ORDER BY tenant_id, pipe_id
        ON CONFLICT (tenant_id, pipe_id, shard) DO UPDATE
        SET events = c.events + excluded.events;
    ELSE
        INSERT INTO tenant_usage AS u
               (tenant_id, shard, day, stored_bytes, inbox_bytes, inbox_events)
        SELECT tenant_id, usage_shard(), utc_today(), -sum(octet_length(body)),
               -sum(octet_length(body)), -sum(events - events_done)
        FROM removed
        GROUP BY tenant_id ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE
        SET stored_bytes = u.stored_bytes + excluded.stored_bytes,
            inbox_bytes = u.inbox_bytes + excluded.inbox_bytes,
            inbox_events = u.inbox_events + excluded.inbox_events;
        INSERT INTO pipe_inbox_counts AS c (tenant_id, pipe_id, shard, events)
        SELECT tenant_id, pipe_id, usage_shard(), -sum(events - events_done)
        FROM removed
        GROUP BY tenant_id, pipe_id ORDER BY tenant_id, pipe_id
        ON CONFLICT (tenant_id, pipe_id, shard) DO UPDATE
        SET events = c.events + excluded.events;
    END IF;
    RETURN NULL;
END
$$
