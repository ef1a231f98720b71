-- Keep the table `queue` equal to the queued executions.
--
-- A trigger does it, so the queue is right whichever statement, of whichever release, changes an
-- execution. Triggers: executions_insert_queues, executions_update_queues,
-- executions_delete_queues.
CREATE OR REPLACE FUNCTION keep_queue_v2() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.status = 'queued' THEN
        DELETE FROM queue AS q
        WHERE q.tenant_id = OLD.tenant_id AND q.priority = OLD.priority
          AND q.execution_id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.status = 'queued' THEN
        INSERT INTO queue (tenant_id, priority, execution_id, memory_bytes, is_part)
        VALUES (NEW.tenant_id, NEW.priority, NEW.id, NEW.memory_bytes, NEW.run_id IS NOT NULL);
    END IF;
    RETURN NULL;
END
$$
