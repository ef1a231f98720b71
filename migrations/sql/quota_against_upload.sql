-- Call quota_against_upload_v2, for the API processes of release 0.1.0.
--
-- Deprecated: kept for one release, so that 0.1.0 runs beside its successor.
CREATE OR REPLACE FUNCTION quota_against_upload(
    tenant uuid, more_scripts bigint, max_scripts bigint, max_versions bigint
) RETURNS TABLE (quota text, cap bigint, used bigint) LANGUAGE sql AS $$
    SELECT q.quota, q.cap, q.used
    FROM quota_against_upload_v2(tenant, more_scripts, max_scripts, max_versions) AS q
$$
