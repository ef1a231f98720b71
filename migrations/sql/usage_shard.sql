-- Choose the shard of tenant_usage that this connection counts in.
--
-- With a single row for each tenant, its submissions would wait for each other's commits.
CREATE OR REPLACE FUNCTION usage_shard() RETURNS smallint LANGUAGE sql STABLE AS $$
    SELECT (pg_backend_pid() % 32)::smallint
$$
