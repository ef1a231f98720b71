-- Delete the callback of a resource that is deleted, and with it the attempts.
--
-- A trigger: a process of an older release deletes executions without knowing their callbacks. The
-- argument is that of add_callback. Without scans, whatever a session planned while tables were small.
-- Trigger: executions_deletion_deletes_callback.
CREATE OR REPLACE FUNCTION delete_callback() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    DELETE FROM callbacks AS c
    WHERE c.tenant_id = OLD.tenant_id AND c.subject = TG_ARGV[0] AND c.subject_id = OLD.id;
    RETURN NULL;
END
$$
