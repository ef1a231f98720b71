-- Find what a request with this key has created; no row if the key is free.
--
-- A free key stays locked until the transaction ends, so of two requests with one key the first
-- creates and the other finds `in_progress`. Each statement of a volatile function has a snapshot
-- of its own: what the last holder of the lock committed is visible to the SELECT. A connection
-- keeps the plan from when the table was small, so the plan is an index scan from the start.
CREATE OR REPLACE FUNCTION find_idempotency_key_v1(tenant uuid, wanted_key text)
RETURNS TABLE (in_progress boolean, fingerprint bytea, resource text) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended(wanted_key, hashtextextended(tenant::text, 2))) THEN
        RETURN QUERY SELECT true, NULL::bytea, NULL::text;
        RETURN;
    END IF;
    RETURN QUERY
        SELECT false, k.fingerprint, k.resource
        FROM idempotency_keys AS k
        WHERE k.tenant_id = tenant AND k.key = wanted_key AND k.expires_at > clock_timestamp();
END
$$
