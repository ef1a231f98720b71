-- Count the items of batches that end, and end a batch with its last item.
--
-- A trigger does it, so the counts are right whichever statement, of whichever release, ends an
-- execution. Statements lock executions first and batches after them, in the order of their ids, and
-- the lock lasts until the commit: of two workers that end the last two items at once, the second
-- sees the first one's count. Readers that wait are notified by the very commit; it is one a batch.
-- Trigger: executions_update_counts_batch_items.
CREATE OR REPLACE FUNCTION count_batch_items() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change record;
    ended  boolean;
BEGIN
    IF NOT EXISTS (SELECT FROM added WHERE batch_id IS NOT NULL AND finished_at IS NOT NULL) THEN
        RETURN NULL;
    END IF;
    FOR change IN
        SELECT c.batch_id,
               coalesce(sum(c.items) FILTER (WHERE c.status = 'succeeded'), 0) AS succeeded,
               coalesce(sum(c.items) FILTER (WHERE c.status = 'failed'), 0) AS failed,
               coalesce(sum(c.items) FILTER (WHERE c.status = 'cancelled'), 0) AS cancelled
        FROM (SELECT batch_id, status, 1 AS items FROM added
              WHERE batch_id IS NOT NULL AND finished_at IS NOT NULL
              UNION ALL
              SELECT batch_id, status, -1 FROM removed
              WHERE batch_id IS NOT NULL AND finished_at IS NOT NULL) AS c
        GROUP BY c.batch_id
        HAVING sum(c.items) <> 0
        ORDER BY c.batch_id
    LOOP
        UPDATE batches AS b
        SET succeeded = b.succeeded + change.succeeded,
            failed = b.failed + change.failed,
            cancelled = b.cancelled + change.cancelled,
            first_ended_at = coalesce(b.first_ended_at, clock_timestamp()),
            last_ended_at = clock_timestamp(),
            finished_at = CASE
                WHEN b.succeeded + change.succeeded + b.failed + change.failed
                     + b.cancelled + change.cancelled = b.items
                THEN clock_timestamp()
            END
        WHERE b.id = change.batch_id
        RETURNING b.finished_at IS NOT NULL INTO ended;
        IF ended THEN
            PERFORM pg_notify('crivo_executions', format('{"ended":["%s"]}', change.batch_id));
        END IF;
    END LOOP;
    RETURN NULL;
END
$$
