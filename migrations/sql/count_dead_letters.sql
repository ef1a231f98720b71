-- Count dead letters by pipe, kind and state, and their bytes in tenant_usage.
--
-- Bytes are those of the event, until it is erased, and of the reasons. Rows are updated in one
-- order, that of their keys, and the row of tenant_usage first, also where only counts change: two
-- transactions that change the same counters take turns there, and cannot deadlock.
-- Triggers: dead_letters_insert_counts, dead_letters_update_counts, dead_letters_delete_counts.
CREATE OR REPLACE FUNCTION count_dead_letters() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes)
        SELECT tenant_id, usage_shard(), utc_today(),
               sum(octet_length(error) + coalesce(octet_length(last_error), 0)
                   + coalesce(octet_length(event), 0))
        FROM added
        GROUP BY tenant_id ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE
        SET stored_bytes = u.stored_bytes + excluded.stored_bytes;
        INSERT INTO dead_letter_counts AS c (tenant_id, pipe_id, kind, shard, dead, moved, dropped,
                                              erased)
        SELECT tenant_id, pipe_id, kind, usage_shard(), count(*) FILTER (WHERE state = 'dead'),
               count(*) FILTER (WHERE state = 'moved'), count(*) FILTER (WHERE state = 'dropped'),
               count(*) FILTER (WHERE state = 'erased')
        FROM added
        GROUP BY tenant_id, pipe_id, kind ORDER BY tenant_id, pipe_id, kind
        ON CONFLICT (tenant_id, pipe_id, kind, shard) DO UPDATE
        SET dead = c.dead + excluded.dead, moved = c.moved + excluded.moved,
            dropped = c.dropped + excluded.dropped, erased = c.erased + excluded.erased;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes)
        SELECT tenant_id, usage_shard(), utc_today(),
               -sum(octet_length(error) + coalesce(octet_length(last_error), 0)
                    + coalesce(octet_length(event), 0))
        FROM removed
        GROUP BY tenant_id ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE
        SET stored_bytes = u.stored_bytes + excluded.stored_bytes;
        INSERT INTO dead_letter_counts AS c (tenant_id, pipe_id, kind, shard, dead, moved, dropped,
                                              erased)
        SELECT tenant_id, pipe_id, kind, usage_shard(), -count(*) FILTER (WHERE state = 'dead'),
               -count(*) FILTER (WHERE state = 'moved'), -count(*) FILTER (WHERE state = 'dropped'),
               -count(*) FILTER (WHERE state = 'erased')
        FROM removed
        GROUP BY tenant_id, pipe_id, kind ORDER BY tenant_id, pipe_id, kind
        ON CONFLICT (tenant_id, pipe_id, kind, shard) DO UPDATE
        SET dead = c.dead + excluded.dead, moved = c.moved + excluded.moved,
            dropped = c.dropped + excluded.dropped, erased = c.erased + excluded.erased;
    ELSE
        INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes)
        SELECT tenant_id, usage_shard(), utc_today(), sum(bytes)
        FROM (SELECT tenant_id, sum(letters) AS letters, sum(bytes) AS bytes
              FROM (SELECT tenant_id, pipe_id, kind, state, 1 AS letters,
                           octet_length(error) + coalesce(octet_length(last_error), 0)
                           + coalesce(octet_length(event), 0) AS bytes
                    FROM added
                    UNION ALL
                    SELECT tenant_id, pipe_id, kind, state, -1,
                           -octet_length(error) - coalesce(octet_length(last_error), 0)
                           - coalesce(octet_length(event), 0)
                    FROM removed) AS changes
              GROUP BY tenant_id, pipe_id, kind, state) AS sums
        GROUP BY tenant_id HAVING sum(bytes) <> 0 OR bool_or(letters <> 0) ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE
        SET stored_bytes = u.stored_bytes + excluded.stored_bytes;
        INSERT INTO dead_letter_counts AS c (tenant_id, pipe_id, kind, shard, dead, moved, dropped,
                                              erased)
        SELECT tenant_id, pipe_id, kind, usage_shard(), dead, moved, dropped, erased
        FROM (SELECT tenant_id, pipe_id, kind,
                     coalesce(sum(letters) FILTER (WHERE state = 'dead'), 0) AS dead,
                     coalesce(sum(letters) FILTER (WHERE state = 'moved'), 0) AS moved,
                     coalesce(sum(letters) FILTER (WHERE state = 'dropped'), 0) AS dropped,
                     coalesce(sum(letters) FILTER (WHERE state = 'erased'), 0) AS erased
              FROM (SELECT tenant_id, pipe_id, kind, state, 1 AS letters FROM added
                    UNION ALL
                    SELECT tenant_id, pipe_id, kind, state, -1 FROM removed) AS changes
              GROUP BY tenant_id, pipe_id, kind) AS sums
        WHERE dead <> 0 OR moved <> 0 OR dropped <> 0 OR erased <> 0
        ORDER BY tenant_id, pipe_id, kind
        ON CONFLICT (tenant_id, pipe_id, kind, shard) DO UPDATE
        SET dead = c.dead + excluded.dead, moved = c.moved + excluded.moved,
            dropped = c.dropped + excluded.dropped, erased = c.erased + excluded.erased;
    END IF;
    RETURN NULL;
END
$$
