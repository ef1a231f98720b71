-- Refuse a result or logs that would take a tenant over its quota of stored bytes.
--
-- The quota is the tenant's own, else the session's setting crivo.default_max_stored_bytes, else
-- there is none. SQLSTATE CR507 is Crivo's own; its DETAIL is JSON with the quota and the bytes in
-- use. The count is that of quota_against_execution_v2, under the same lock, so acceptances and
-- outcomes see one another.
--
-- An AFTER trigger for each row fires before the AFTER triggers of the statement that count: the
-- count does not include the statement's own rows yet. 64 bytes of logs always fit; they say that
-- the console was discarded. Trigger: payloads_insert_holds_quota.
CREATE OR REPLACE FUNCTION hold_quota_of_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    quota       bigint;
    added_bytes bigint;
    refusal     record;
BEGIN
    SELECT coalesce(
               t.max_stored_bytes,
               nullif(current_setting('crivo.default_max_stored_bytes', true), '')::bigint
           )
    INTO quota
    FROM tenants AS t
    WHERE t.id = NEW.tenant_id;
    IF quota IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT sum(a.size_bytes) INTO added_bytes
    FROM added AS a
    WHERE a.tenant_id = NEW.tenant_id AND (a.kind <> 'logs' OR a.size_bytes > 64);
    SELECT * INTO refusal
    FROM quota_against_execution_v2(NEW.tenant_id, added_bytes, NULL, quota, NULL);
    IF refusal.quota IS NOT NULL THEN
        RAISE EXCEPTION 'the tenant''s quota of stored bytes is used up' USING
            ERRCODE = 'CR507',
            DETAIL = format('{"limit":%s,"used":%s}', refusal.cap, refusal.used);
    END IF;
    RETURN NULL;
END
$$
