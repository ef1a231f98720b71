-- Keep the audit log append-only: the database guarantees it, whatever the code does.
-- Trigger: audit_log_is_append_only.
CREATE OR REPLACE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation';
END
$$
