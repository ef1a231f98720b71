"""Add quotas: count what each tenant uses, and refuse what exceeds its caps."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UP = (
    """
    CREATE TABLE tenant_usage (
        tenant_id    uuid     NOT NULL REFERENCES tenants,
        shard        smallint NOT NULL,
        queued       bigint   NOT NULL DEFAULT 0,
        stored_bytes bigint   NOT NULL DEFAULT 0,
        day          date     NOT NULL,
        day_bytes    bigint   NOT NULL DEFAULT 0,
        PRIMARY KEY (tenant_id, shard)
    ) WITH (fillfactor = 20)
    """,
    # See migrations/sql/usage_shard.sql.
    """
    CREATE FUNCTION usage_shard() RETURNS smallint LANGUAGE sql STABLE AS $$
        SELECT (pg_backend_pid() % 32)::smallint
    $$
    """,
    """
    CREATE FUNCTION utc_today() RETURNS date LANGUAGE sql STABLE AS $$
        SELECT (now() AT TIME ZONE 'UTC')::date
    $$
    """,
    "CREATE INDEX script_versions_tenant_idx ON script_versions (tenant_id)",
    # See migrations/sql/count_queued.sql and migrations/sql/count_bytes.sql.
    """
    CREATE FUNCTION count_queued() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO tenant_usage AS u (tenant_id, shard, day, queued)
            SELECT tenant_id, usage_shard(), utc_today(), count(*)
            FROM added
            WHERE status = 'queued'
            GROUP BY tenant_id ORDER BY tenant_id
            ON CONFLICT (tenant_id, shard) DO UPDATE SET queued = u.queued + excluded.queued;
        ELSIF TG_OP = 'DELETE' THEN
            INSERT INTO tenant_usage AS u (tenant_id, shard, day, queued)
            SELECT tenant_id, usage_shard(), utc_today(), -count(*)
            FROM removed
            WHERE status = 'queued'
            GROUP BY tenant_id ORDER BY tenant_id
            ON CONFLICT (tenant_id, shard) DO UPDATE SET queued = u.queued + excluded.queued;
        ELSE
            INSERT INTO tenant_usage AS u (tenant_id, shard, day, queued)
            SELECT tenant_id, usage_shard(), utc_today(), sum(change)
            FROM (SELECT tenant_id, 1 AS change FROM added WHERE status = 'queued'
                  UNION ALL
                  SELECT tenant_id, -1 FROM removed WHERE status = 'queued') AS changes
            GROUP BY tenant_id HAVING sum(change) <> 0 ORDER BY tenant_id
            ON CONFLICT (tenant_id, shard) DO UPDATE SET queued = u.queued + excluded.queued;
        END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE FUNCTION count_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes, day_bytes)
            SELECT tenant_id, usage_shard(), utc_today(), sum(size_bytes),
                   coalesce(sum(size_bytes) FILTER (WHERE kind = 'input'), 0)
            FROM added
            GROUP BY tenant_id ORDER BY tenant_id
            ON CONFLICT (tenant_id, shard) DO UPDATE
            SET stored_bytes = u.stored_bytes + excluded.stored_bytes,
                day_bytes = CASE WHEN u.day < excluded.day THEN 0 ELSE u.day_bytes END
                            + excluded.day_bytes,
                day = greatest(u.day, excluded.day);
        ELSIF TG_OP = 'DELETE' THEN
            INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes)
            SELECT tenant_id, usage_shard(), utc_today(), -sum(size_bytes)
            FROM removed
            GROUP BY tenant_id ORDER BY tenant_id
            ON CONFLICT (tenant_id, shard) DO UPDATE
            SET stored_bytes = u.stored_bytes + excluded.stored_bytes;
        ELSE
            INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes)
            SELECT tenant_id, usage_shard(), utc_today(), sum(change)
            FROM (SELECT tenant_id, size_bytes AS change FROM added
                  UNION ALL
                  SELECT tenant_id, -size_bytes FROM removed) AS changes
            GROUP BY tenant_id HAVING sum(change) <> 0 ORDER BY tenant_id
            ON CONFLICT (tenant_id, shard) DO UPDATE
            SET stored_bytes = u.stored_bytes + excluded.stored_bytes;
        END IF;
        RETURN NULL;
    END
    $$
    """,
    *(
        f"""
        CREATE TRIGGER {table}_{event.lower()}_counts
        AFTER {event} ON {table} REFERENCING {transition}
        FOR EACH STATEMENT EXECUTE FUNCTION {function}()
        """
        for table, function in (("executions", "count_queued"), ("payloads", "count_bytes"))
        for event, transition in (
            ("INSERT", "NEW TABLE AS added"),
            ("UPDATE", "OLD TABLE AS removed NEW TABLE AS added"),
            ("DELETE", "OLD TABLE AS removed"),
        )
    ),
    """
    INSERT INTO tenant_usage (tenant_id, shard, day, queued, stored_bytes)
    SELECT t.id, 0, utc_today(),
           (SELECT count(*) FROM executions AS e WHERE e.tenant_id = t.id AND e.status = 'queued'),
           (SELECT coalesce(sum(size_bytes), 0) FROM payloads AS p WHERE p.tenant_id = t.id)
    FROM tenants AS t
    """,
    # See migrations/sql/quota_against_execution_v2.sql.
    """
    CREATE FUNCTION quota_against_execution(
        tenant uuid, size_bytes bigint,
        max_queued bigint, max_stored_bytes bigint, max_bytes_per_day bigint
    ) RETURNS TABLE (quota text, cap bigint, used bigint) LANGUAGE plpgsql AS $$
    DECLARE
        others   CONSTANT bigint := current_setting('max_connections')::bigint;
        small    CONSTANT bigint := 1048576;
        alone    boolean;
        is_near  boolean;
        queued   bigint;
        stored   bigint;
        of_today bigint;
    BEGIN
        IF num_nonnulls(max_queued, max_stored_bytes, max_bytes_per_day) = 0 THEN
            RETURN;
        END IF;
        FOR attempt IN 1..2 LOOP
            IF attempt = 2 THEN
                IF alone THEN
                    PERFORM pg_advisory_xact_lock(hashtextextended(tenant::text, 1));
                ELSE
                    PERFORM pg_advisory_xact_lock_shared(hashtextextended(tenant::text, 1));
                END IF;
            END IF;
            SELECT coalesce(sum(u.queued), 0), coalesce(sum(u.stored_bytes), 0),
                   coalesce(sum(u.day_bytes) FILTER (WHERE u.day = utc_today()), 0)
            INTO queued, stored, of_today
            FROM tenant_usage AS u
            WHERE u.tenant_id = tenant;
            is_near := coalesce(queued + others > max_queued, false)
                OR coalesce(stored + others * small > max_stored_bytes, false)
                OR coalesce(of_today + others * small > max_bytes_per_day, false);
            IF attempt = 1 THEN
                alone := is_near OR (size_bytes > small
                    AND num_nonnulls(max_stored_bytes, max_bytes_per_day) > 0);
            END IF;
        END LOOP;
        IF is_near AND NOT alone THEN
            -- It came near while this waited; a shared lock cannot become the only one.
            RAISE EXCEPTION 'a quota came near' USING ERRCODE = 'serialization_failure';
        END IF;
        RETURN QUERY
        SELECT q.quota, q.cap, q.used
        FROM (VALUES ('queued', max_queued, queued, 1),
                     ('stored-bytes', max_stored_bytes, stored, size_bytes),
                     ('bytes-per-day', max_bytes_per_day, of_today, size_bytes))
             AS q (quota, cap, used, more)
        WHERE q.used + q.more > q.cap
        LIMIT 1;
    END
    $$
    """,
    # See migrations/sql/quota_against_upload_v2.sql.
    """
    CREATE FUNCTION quota_against_upload(
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
             AS q (quota, cap, more, used)
        WHERE q.more > 0 AND q.used + q.more > q.cap
        LIMIT 1;
    END
    $$
    """,
    # The requests that each API process has admitted since its start; processes exchange these
    # counts. Unlogged: after a crash all start from zero, and a moment's accuracy is lost.
    """
    CREATE UNLOGGED TABLE request_counts (
        tenant_id  uuid        NOT NULL,
        process_id uuid        NOT NULL,
        requests   bigint      NOT NULL,
        seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (tenant_id, process_id)
    )
    """,
)

DOWN = (
    "DROP TABLE request_counts",
    "DROP FUNCTION quota_against_upload(uuid, bigint, bigint, bigint)",
    "DROP FUNCTION quota_against_execution(uuid, bigint, bigint, bigint, bigint)",
    *(
        f"DROP TRIGGER {table}_{event}_counts ON {table}"
        for table in ("executions", "payloads")
        for event in ("insert", "update", "delete")
    ),
    "DROP FUNCTION count_bytes()",
    "DROP FUNCTION count_queued()",
    "DROP INDEX script_versions_tenant_idx",
    "DROP FUNCTION utc_today()",
    "DROP FUNCTION usage_shard()",
    "DROP TABLE tenant_usage",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
