-- Return the quota that an upload of one version, and of `more_scripts` scripts, would exceed.
--
-- `more_scripts` is 0 or 1; a NULL quota is unlimited. The lock serializes the tenant's uploads:
-- V8 checks each upload beforehand, which takes longer than the lock is held.
CREATE OR REPLACE FUNCTION quota_against_upload_v2(
    tenant uuid, more_scripts bigint, max_scripts bigint, max_versions bigint
) RETURNS TABLE (quota text, cap bigint, used bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(tenant::text, 2));
    RETURN QUERY
    SELECT q.quota, q.cap, q.used
    FROM (VALUES ('scripts', max_scripts, more_scripts,
                  (SELECT count(*) FROM scripts AS s
                   WHERE s.tenant_id = tenant AND max_scripts IS NOT NULL)),
                 ('versions', max_versions, 1,
                  (SELECT count(*) FROM script_versions AS v
                   WHERE v.tenant_id = tenant AND max_versions IS NOT NULL)))
         AS q (quota, cap, added, used)
    WHERE q.added > 0 AND q.used + q.added > q.cap
    LIMIT 1;
END
$$
