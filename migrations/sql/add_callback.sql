-- Add the callback of a resource that has just ended, in the transaction that ends it.
--
-- A trigger, so no statement that ends executions can forget it, nor one of an older release. For
-- a resource without a callback PostgreSQL evaluates the trigger's condition and nothing more. The
-- argument of the trigger is the value of `callbacks.subject`; its table has the columns id,
-- tenant_id, callback_url and finished_at. Without scans, whatever a session planned while tables
-- were small.
-- Trigger: executions_end_adds_callback.
CREATE OR REPLACE FUNCTION add_callback() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    INSERT INTO callbacks (tenant_id, subject, subject_id, url, status, next_attempt_at)
    SELECT NEW.tenant_id, TG_ARGV[0], NEW.id, NEW.callback_url,
           CASE WHEN disabled.yes THEN 'disabled' ELSE 'pending' END,
           CASE WHEN NOT disabled.yes THEN clock_timestamp() END
    FROM (
        SELECT EXISTS (
            SELECT
            FROM disabled_callback_urls AS d
            WHERE d.tenant_id = NEW.tenant_id AND d.url = NEW.callback_url
        ) AS yes
    ) AS disabled;
    RETURN NULL;
END
$$
