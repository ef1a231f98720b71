-- Hand an execution that is being accepted over to a worker that has offered a slot, and return
-- the worker and the fencing token; without a row it has to be queued.
--
-- It takes no turn away: nothing is queued, and no other tenant is active. The tenant has no cap on
-- running executions, of which claims alone keep count. The offer says what the worker has memory
-- for. Usage is charged as for a claim, and the tenant is active from here on.
--
-- Call it within the statement that inserts the execution. The worker is notified by that commit;
-- NOTIFY's lock is held until it is flushed, which only few can be waiting for, as there are no more
-- of them than idle slots.
--
-- The statement gives the execution a lease of a second and counts no attempt. The worker begins it
-- (begin_execution_v1) or it is rescued.
CREATE OR REPLACE FUNCTION hand_over_execution_v1(
    tenant uuid, execution uuid, memory_bytes bigint, acceptable boolean
) RETURNS TABLE (worker_id uuid, lease_token bigint) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    offer slot_offers;
    token bigint;
BEGIN
    IF acceptable IS NOT TRUE
       OR EXISTS (SELECT FROM queue)
       OR EXISTS (SELECT FROM tenant_shares AS s WHERE s.active AND s.tenant_id <> tenant)
       OR EXISTS (SELECT FROM tenants AS t
                  WHERE t.id = tenant
                    AND (t.max_running IS NOT NULL OR t.suspended_at IS NOT NULL)) THEN
        RETURN;
    END IF;
    SELECT o.* INTO offer
    FROM slot_offers AS o
    WHERE o.expires_at > clock_timestamp()
      AND (memory_bytes > o.max_memory_bytes) IS NOT TRUE
    ORDER BY o.slot, o.worker_id
    LIMIT 1
    FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE slot_offers AS o
    SET expires_at = clock_timestamp()
    WHERE o.worker_id = offer.worker_id AND o.slot = offer.slot;
    -- Not locked if it is active already: claims must not wait for this commit.
    IF NOT EXISTS (SELECT FROM tenant_shares AS s WHERE s.tenant_id = tenant AND s.active) THEN
        INSERT INTO tenant_shares AS s (tenant_id, active)
        VALUES (tenant, true)
        ON CONFLICT (tenant_id) DO UPDATE SET active = true WHERE NOT s.active;
    END IF;
    token := 1 + floor(random() * 9007199254740991)::bigint;
    PERFORM pg_notify('crivo_slots_' || replace(offer.worker_id::text, '-', ''),
                      execution || ' ' || token);
    RETURN QUERY SELECT offer.worker_id, token;
END
$$
