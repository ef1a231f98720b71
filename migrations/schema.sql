CREATE FUNCTION claim_executions(worker uuid, most integer, lease_seconds double precision, default_max_running bigint, served uuid[], served_seconds double precision[]) RETURNS TABLE(id uuid, tenant_id uuid, lease_token bigint, attempts smallint, wall_ms integer, max_cpu_ms integer, memory_bytes bigint, max_output_bytes bigint, seed bigint, clock_ms bigint, created_at timestamp with time zone, source bytea, sha256 bytea, size_bytes bigint, body bytea, blob_key text)
    LANGUAGE sql
    AS $$
    SELECT c.id, c.tenant_id, c.lease_token, c.attempts, c.wall_ms, c.max_cpu_ms,
           c.memory_bytes, c.max_output_bytes, c.seed, c.clock_ms, c.created_at,
           c.source, c.sha256, c.size_bytes, c.body, c.blob_key
    FROM claim_executions_v2(
        worker => worker,
        most => most,
        lease_seconds => lease_seconds,
        default_max_running => default_max_running,
        served => served,
        served_seconds => served_seconds,
        room_bytes => NULL,
        largest_bytes => NULL,
        overhead_bytes => 0,
        may_wait => false
    ) AS c
$$;

CREATE FUNCTION claim_executions_v2(worker uuid, most integer, lease_seconds double precision, default_max_running bigint, served uuid[], served_seconds double precision[], room_bytes bigint, largest_bytes bigint, overhead_bytes bigint, may_wait boolean) RETURNS TABLE(id uuid, tenant_id uuid, lease_token bigint, attempts smallint, wall_ms integer, max_cpu_ms integer, memory_bytes bigint, max_output_bytes bigint, seed bigint, clock_ms bigint, created_at timestamp with time zone, source bytea, sha256 bytea, size_bytes bigint, body bytea, blob_key text, script text, version integer, labels jsonb, params bytea, request_id text, passed_over boolean)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
DECLARE
    claim_time      timestamptz;
    waiting_tenants uuid[];
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_advisory_xact_lock(hashtextextended('claims', 0));
    claim_time := clock_timestamp();

    IF cardinality(served) > 0 THEN
        INSERT INTO tenant_shares AS s (tenant_id, used_seconds, used_at, mean_seconds)
        SELECT u.tenant_id, sum(u.seconds), claim_time, avg(u.seconds)
        FROM unnest(served, served_seconds) AS u (tenant_id, seconds)
        JOIN tenants AS t ON t.id = u.tenant_id
        GROUP BY u.tenant_id
        ON CONFLICT (tenant_id) DO UPDATE
        SET used_seconds = faded(s.used_seconds, s.used_at, claim_time) + excluded.used_seconds,
            used_at = claim_time,
            mean_seconds = 0.7 * s.mean_seconds + 0.3 * excluded.mean_seconds;
    END IF;

    -- One index probe for each tenant, however much it has queued.
    waiting_tenants := ARRAY(
        WITH RECURSIVE probe (tenant_id) AS (
            (SELECT q.tenant_id FROM queue AS q ORDER BY q.tenant_id LIMIT 1)
            UNION ALL
            SELECT (SELECT q.tenant_id FROM queue AS q WHERE q.tenant_id > p.tenant_id
                    ORDER BY q.tenant_id LIMIT 1)
            FROM probe AS p
            WHERE p.tenant_id IS NOT NULL
        )
        SELECT p.tenant_id FROM probe AS p WHERE p.tenant_id IS NOT NULL
    );

    UPDATE tenant_shares AS s
    SET active = false
    WHERE s.active
      AND s.tenant_id <> ALL (waiting_tenants)
      AND NOT EXISTS (SELECT FROM executions AS e
                      WHERE e.tenant_id = s.tenant_id AND e.status = 'running');

    -- New and returning tenants start at the lowest usage among active tenants: idling earns no
    -- credit and erases no debt.
    INSERT INTO tenant_shares AS s (tenant_id, used_seconds, used_at, active)
    SELECT t.id, t.weight * lowest.used, claim_time, true
    FROM unnest(waiting_tenants) AS w (tenant_id)
    JOIN tenants AS t ON t.id = w.tenant_id AND t.suspended_at IS NULL
    CROSS JOIN (
        SELECT coalesce(min(faded(a.used_seconds, a.used_at, claim_time) / o.weight), 0) AS used
        FROM tenant_shares AS a
        JOIN tenants AS o ON o.id = a.tenant_id
        WHERE a.active AND o.suspended_at IS NULL
    ) AS lowest
    WHERE NOT EXISTS (SELECT FROM tenant_shares AS a
                      WHERE a.tenant_id = t.id AND a.active)
    ON CONFLICT (tenant_id) DO UPDATE
    SET used_seconds = greatest(faded(s.used_seconds, s.used_at, claim_time),
                                excluded.used_seconds),
        used_at = claim_time,
        active = true;

    RETURN QUERY
    WITH running AS MATERIALIZED (
        -- A running execution counts by its age, and at first by its tenant's mean.
        SELECT e.tenant_id, count(*) AS slots,
               sum(greatest(s.mean_seconds, extract(epoch FROM claim_time - e.started_at)))
               AS seconds
        FROM executions AS e
        JOIN tenant_shares AS s ON s.tenant_id = e.tenant_id
        WHERE e.status = 'running'
        GROUP BY e.tenant_id
    ),
    candidates AS MATERIALIZED (
        SELECT t.id AS tenant_id, t.weight, s.mean_seconds,
               faded(s.used_seconds, s.used_at, claim_time) + coalesce(r.seconds, 0) AS seconds,
               least(most, coalesce(t.max_running, default_max_running)
                           - coalesce(r.slots, 0)) AS free_slots
        FROM unnest(waiting_tenants) AS w (tenant_id)
        JOIN tenants AS t ON t.id = w.tenant_id AND t.suspended_at IS NULL
        JOIN tenant_shares AS s ON s.tenant_id = t.id
        LEFT JOIN running AS r ON r.tenant_id = t.id
    ),
    turns AS MATERIALIZED (
        -- As if each were claimed by itself: a tenant is charged for its first execution before
        -- its second one is considered.
        SELECT c.tenant_id, n.priority, n.execution_id, n.bytes, n.fits,
               (c.seconds + (n.turn - 1) * c.mean_seconds) / c.weight AS share
        FROM candidates AS c
        CROSS JOIN LATERAL (
            SELECT q.priority, q.execution_id, q.memory_bytes + overhead_bytes AS bytes,
                   room_bytes IS NULL OR q.memory_bytes + overhead_bytes <= room_bytes AS fits,
                   row_number() OVER (ORDER BY q.priority DESC, q.execution_id) AS turn
            FROM queue AS q
            WHERE q.tenant_id = c.tenant_id
              AND (room_bytes IS NULL
                   OR q.memory_bytes + overhead_bytes <= room_bytes
                   OR (may_wait AND q.memory_bytes + overhead_bytes <= largest_bytes
                       AND q.queued_at < claim_time - interval '1 second'))
            ORDER BY q.priority DESC, q.execution_id
            LIMIT greatest(c.free_slots, 0)
        ) AS n
        ORDER BY share, n.execution_id
        LIMIT most
    ),
    packed AS MATERIALIZED (
        -- Those that fit together, or, at its turn, one that is the next to have room.
        SELECT p.*, count(*) OVER () > count(*) FILTER (WHERE p.taken) OVER () AS passed_over
        FROM (
            SELECT s.*,
                   room_bytes IS NULL
                   OR (s.fits AND s.oversized = 0 AND s.total_bytes <= room_bytes)
                   OR (NOT s.fits AND s.oversized = 1) AS taken
            FROM (
                SELECT t.*,
                       count(*) FILTER (WHERE NOT t.fits) OVER in_turn AS oversized,
                       sum(t.bytes) FILTER (WHERE t.fits) OVER in_turn AS total_bytes
                FROM turns AS t
                WINDOW in_turn AS (ORDER BY t.share, t.execution_id
                                   ROWS UNBOUNDED PRECEDING)
            ) AS s
        ) AS p
    ),
    locked AS MATERIALIZED (
        -- A row that is being cancelled is locked, and skipped.
        SELECT e.id, t.share, t.passed_over
        FROM packed AS t
        JOIN queue AS q ON q.tenant_id = t.tenant_id AND q.priority = t.priority
                       AND q.execution_id = t.execution_id
        JOIN executions AS e ON e.id = t.execution_id AND e.status = 'queued'
        WHERE t.taken
        FOR NO KEY UPDATE OF q, e SKIP LOCKED
    ),
    claimed AS (
        UPDATE executions AS e
        SET status = 'running',
            started_at = clock_timestamp(),
            attempts = e.attempts + 1,
            worker_id = worker,
            lease_token = 1 + floor(random() * 9007199254740991)::bigint,
            lease_expires_at = clock_timestamp() + make_interval(secs => lease_seconds)
        FROM locked
        WHERE e.id = locked.id
        RETURNING e.*, locked.share, locked.passed_over
    )
    SELECT c.id, c.tenant_id, c.lease_token, c.attempts, c.wall_ms, c.max_cpu_ms,
           c.memory_bytes, c.max_output_bytes, c.seed, c.clock_ms, c.created_at,
           v.source, i.sha256, i.size_bytes, i.body, i.blob_key,
           s.name, c.version, c.labels, p.body, c.request_id, c.passed_over
    FROM claimed AS c
    JOIN script_versions AS v ON v.script_id = c.script_id AND v.version = c.version
    JOIN scripts AS s ON s.id = c.script_id
    JOIN payloads AS i ON i.execution_id = c.id AND i.kind = 'input'
    LEFT JOIN payloads AS p ON p.execution_id = c.id AND p.kind = 'params'
    ORDER BY c.share, c.id;
END
$$;

CREATE FUNCTION count_access_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO access_generation AS g (generation) VALUES (1)
    ON CONFLICT (one) DO UPDATE SET generation = g.generation + 1;
    RETURN NULL;
END
$$;

CREATE FUNCTION count_bytes() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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
        WHERE erased_at IS NULL
        GROUP BY tenant_id ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE
        SET stored_bytes = u.stored_bytes + excluded.stored_bytes;
    ELSE
        INSERT INTO tenant_usage AS u (tenant_id, shard, day, stored_bytes)
        SELECT tenant_id, usage_shard(), utc_today(), sum(change)
        FROM (SELECT tenant_id, size_bytes AS change FROM added WHERE erased_at IS NULL
              UNION ALL
              SELECT tenant_id, -size_bytes FROM removed WHERE erased_at IS NULL) AS changes
        GROUP BY tenant_id HAVING sum(change) <> 0 ORDER BY tenant_id
        ON CONFLICT (tenant_id, shard) DO UPDATE
        SET stored_bytes = u.stored_bytes + excluded.stored_bytes;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION count_queued() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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
$$;

CREATE FUNCTION faded(seconds double precision, since timestamp with time zone, moment timestamp with time zone) RETURNS double precision
    LANGUAGE sql IMMUTABLE
    AS $$
    -- PostgreSQL would report an underflow beyond a thousand halvings.
    SELECT seconds
           * power(0.5::float8, least(extract(epoch FROM moment - since) / 60, 900)::float8)
$$;

CREATE PROCEDURE finish_execution(IN execution uuid, IN token bigint, IN its_status text, IN its_error_kind text, IN its_error bytea, IN its_v8_version text, IN its_run_ms double precision, IN its_cpu_ms double precision, IN its_peak_bytes bigint, IN result_sha256 bytea, IN result_bytes bigint, IN result_body bytea, IN result_key text, IN logs_sha256 bytea, IN logs_bytes bigint, IN logs_body bytea, IN logs_key text, INOUT tenant text DEFAULT NULL::text, INOUT script text DEFAULT NULL::text, INOUT version integer DEFAULT NULL::integer, INOUT attempts smallint DEFAULT NULL::smallint, INOUT created_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT started_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT finished_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT worker_id uuid DEFAULT NULL::uuid, INOUT traceparent text DEFAULT NULL::text)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    recorded executions;
BEGIN
    UPDATE executions AS e
    SET status = its_status,
        error_kind = its_error_kind,
        error = its_error,
        v8_version = its_v8_version,
        run_ms = its_run_ms,
        cpu_ms = its_cpu_ms,
        peak_memory_bytes = its_peak_bytes,
        finished_at = clock_timestamp(),
        lease_expires_at = NULL
    WHERE e.id = execution AND e.status = 'running' AND e.lease_token = token
    RETURNING e.* INTO recorded;
    IF recorded.id IS NOT NULL THEN
        INSERT INTO payloads (execution_id, kind, tenant_id, sha256, size_bytes, body, blob_key)
        SELECT recorded.id, p.kind, recorded.tenant_id, p.sha256, p.size_bytes, p.body, p.blob_key
        FROM (VALUES ('result', result_sha256, result_bytes, result_body, result_key),
                     ('logs', logs_sha256, logs_bytes, logs_body, logs_key))
             AS p (kind, sha256, size_bytes, body, blob_key)
        WHERE p.sha256 IS NOT NULL;
    ELSE
        SELECT e.* INTO recorded
        FROM executions AS e
        WHERE e.id = execution AND e.lease_token = token AND e.finished_at IS NOT NULL;
        IF recorded.id IS NULL THEN
            RETURN;
        END IF;
    END IF;
    tenant := (SELECT t.name FROM tenants AS t WHERE t.id = recorded.tenant_id);
    script := (SELECT s.name FROM scripts AS s WHERE s.id = recorded.script_id);
    version := recorded.version;
    attempts := recorded.attempts;
    created_at := recorded.created_at;
    started_at := recorded.started_at;
    finished_at := recorded.finished_at;
    worker_id := recorded.worker_id;
    traceparent := recorded.traceparent;
    COMMIT;
    PERFORM pg_notify('crivo_executions', format('{"ended":["%s"]}', recorded.id));
END
$$;

CREATE PROCEDURE finish_execution_v2(IN execution uuid, IN token bigint, IN its_status text, IN its_error_kind text, IN its_error bytea, IN its_v8_version text, IN its_run_ms double precision, IN its_cpu_ms double precision, IN its_peak_bytes bigint, IN result_sha256 bytea, IN result_bytes bigint, IN result_body bytea, IN result_key text, IN logs_sha256 bytea, IN logs_bytes bigint, IN logs_body bytea, IN logs_key text, IN its_warnings bytea, INOUT tenant text DEFAULT NULL::text, INOUT script text DEFAULT NULL::text, INOUT version integer DEFAULT NULL::integer, INOUT attempts smallint DEFAULT NULL::smallint, INOUT created_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT started_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT finished_at timestamp with time zone DEFAULT NULL::timestamp with time zone, INOUT worker_id uuid DEFAULT NULL::uuid, INOUT traceparent text DEFAULT NULL::text)
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF its_warnings IS NOT NULL THEN
        UPDATE executions AS e
        SET warnings = its_warnings
        WHERE e.id = execution AND e.status = 'running' AND e.lease_token = token;
    END IF;
    CALL finish_execution(
        execution => execution,
        token => token,
        its_status => its_status,
        its_error_kind => its_error_kind,
        its_error => its_error,
        its_v8_version => its_v8_version,
        its_run_ms => its_run_ms,
        its_cpu_ms => its_cpu_ms,
        its_peak_bytes => its_peak_bytes,
        result_sha256 => result_sha256,
        result_bytes => result_bytes,
        result_body => result_body,
        result_key => result_key,
        logs_sha256 => logs_sha256,
        logs_bytes => logs_bytes,
        logs_body => logs_body,
        logs_key => logs_key,
        tenant => tenant,
        script => script,
        version => version,
        attempts => attempts,
        created_at => created_at,
        started_at => started_at,
        finished_at => finished_at,
        worker_id => worker_id,
        traceparent => traceparent
    );
END
$$;

CREATE FUNCTION hold_quota_of_bytes() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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
$$;

CREATE FUNCTION keep_queue() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.status = 'queued' THEN
        DELETE FROM queue AS q
        WHERE q.tenant_id = OLD.tenant_id AND q.priority = OLD.priority
          AND q.execution_id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.status = 'queued' THEN
        INSERT INTO queue (tenant_id, priority, execution_id, memory_bytes)
        VALUES (NEW.tenant_id, NEW.priority, NEW.id, NEW.memory_bytes);
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION quota_against_execution(tenant uuid, size_bytes bigint, max_queued bigint, max_stored_bytes bigint, max_bytes_per_day bigint) RETURNS TABLE(quota text, cap bigint, used bigint)
    LANGUAGE sql
    AS $$
    SELECT q.quota, q.cap, q.used
    FROM quota_against_execution_v2(
        tenant, size_bytes, max_queued, max_stored_bytes, max_bytes_per_day
    ) AS q
$$;

CREATE FUNCTION quota_against_execution_v2(tenant uuid, size_bytes bigint, max_queued bigint, max_stored_bytes bigint, max_bytes_per_day bigint) RETURNS TABLE(quota text, cap bigint, used bigint)
    LANGUAGE plpgsql
    AS $$
DECLARE
    max_concurrent CONSTANT bigint := current_setting('max_connections')::bigint;
    small_bytes    CONSTANT bigint := 1048576;
    exclusive      boolean;
    is_near        boolean;
    queued         bigint;
    stored_bytes   bigint;
    day_bytes      bigint;
BEGIN
    IF num_nonnulls(max_queued, max_stored_bytes, max_bytes_per_day) = 0 THEN
        RETURN;
    END IF;
    -- The first pass chooses the lock, the second counts under it.
    FOR pass IN 1..2 LOOP
        IF pass = 2 THEN
            IF exclusive THEN
                PERFORM pg_advisory_xact_lock(hashtextextended(tenant::text, 1));
            ELSE
                PERFORM pg_advisory_xact_lock_shared(hashtextextended(tenant::text, 1));
            END IF;
        END IF;
        SELECT coalesce(sum(u.queued), 0), coalesce(sum(u.stored_bytes), 0),
               coalesce(sum(u.day_bytes) FILTER (WHERE u.day = utc_today()), 0)
        INTO queued, stored_bytes, day_bytes
        FROM tenant_usage AS u
        WHERE u.tenant_id = tenant;
        is_near := coalesce(queued + max_concurrent > max_queued, false)
            OR coalesce(stored_bytes + max_concurrent * small_bytes > max_stored_bytes, false)
            OR coalesce(day_bytes + max_concurrent * small_bytes > max_bytes_per_day, false);
        IF pass = 1 THEN
            exclusive := is_near OR (size_bytes > small_bytes
                AND num_nonnulls(max_stored_bytes, max_bytes_per_day) > 0);
        END IF;
    END LOOP;
    IF is_near AND NOT exclusive THEN
        RAISE EXCEPTION 'a quota came near' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN QUERY
    SELECT q.quota, q.cap, q.used
    FROM (VALUES ('queued', max_queued, queued, 1),
                 ('stored-bytes', max_stored_bytes, stored_bytes, size_bytes),
                 ('bytes-per-day', max_bytes_per_day, day_bytes, size_bytes))
         AS q (quota, cap, used, added)
    WHERE q.used + q.added > q.cap
    LIMIT 1;
END
$$;

CREATE FUNCTION quota_against_upload(tenant uuid, more_scripts bigint, max_scripts bigint, max_versions bigint) RETURNS TABLE(quota text, cap bigint, used bigint)
    LANGUAGE sql
    AS $$
    SELECT q.quota, q.cap, q.used
    FROM quota_against_upload_v2(tenant, more_scripts, max_scripts, max_versions) AS q
$$;

CREATE FUNCTION quota_against_upload_v2(tenant uuid, more_scripts bigint, max_scripts bigint, max_versions bigint) RETURNS TABLE(quota text, cap bigint, used bigint)
    LANGUAGE plpgsql
    AS $$
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
$$;

CREATE FUNCTION refuse_audit_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation';
END
$$;

CREATE FUNCTION refuse_version_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'a script version is immutable' USING ERRCODE = 'restrict_violation';
END
$$;

CREATE FUNCTION usage_shard() RETURNS smallint
    LANGUAGE sql STABLE
    AS $$
    SELECT (pg_backend_pid() % 32)::smallint
$$;

CREATE FUNCTION utc_today() RETURNS date
    LANGUAGE sql STABLE
    AS $$
    SELECT (now() AT TIME ZONE 'UTC')::date
$$;

CREATE TABLE access_generation (
    one boolean DEFAULT true NOT NULL,
    generation bigint NOT NULL,
    CONSTRAINT access_generation_one_check CHECK (one)
);

CREATE TABLE api_keys (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    secret_sha256 bytea NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    CONSTRAINT api_keys_admin_check CHECK (((NOT ('admin'::text = ANY (scopes))) OR (tenant_id = '00000000-0000-7000-8000-000000000001'::uuid))),
    CONSTRAINT api_keys_scopes_check CHECK (((cardinality(scopes) > 0) AND (scopes <@ ARRAY['read'::text, 'scripts:write'::text, 'executions:write'::text, 'admin'::text]))),
    CONSTRAINT api_keys_secret_sha256_check CHECK ((octet_length(secret_sha256) = 32))
);

CREATE TABLE audit_log (
    id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    tenant_id uuid NOT NULL,
    via text NOT NULL,
    key_id uuid,
    address inet,
    request_id text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT audit_log_action_check CHECK ((action ~ '^[a-z]+\.[a-z]+$'::text)),
    CONSTRAINT audit_log_check CHECK (((via = 'key'::text) = (key_id IS NOT NULL))),
    CONSTRAINT audit_log_details_check CHECK ((jsonb_typeof(details) = 'object'::text)),
    CONSTRAINT audit_log_via_check CHECK ((via = ANY (ARRAY['key'::text, 'open'::text, 'command'::text])))
);

CREATE TABLE executions (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    script_id uuid NOT NULL,
    version integer NOT NULL,
    status text DEFAULT 'queued'::text NOT NULL,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    wall_ms integer NOT NULL,
    memory_bytes bigint NOT NULL,
    max_output_bytes bigint NOT NULL,
    seed bigint NOT NULL,
    clock_ms bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    attempts smallint DEFAULT 0 NOT NULL,
    worker_id uuid,
    lease_token bigint,
    lease_expires_at timestamp with time zone,
    error_kind text,
    error bytea,
    v8_version text,
    run_ms double precision,
    cpu_ms double precision,
    peak_memory_bytes bigint,
    max_cpu_ms integer NOT NULL,
    priority smallint DEFAULT 0 NOT NULL,
    traceparent text,
    warnings bytea,
    request_id text,
    CONSTRAINT executions_check CHECK (((status = 'failed'::text) = (error_kind IS NOT NULL))),
    CONSTRAINT executions_check1 CHECK (((error_kind IS NULL) = (error IS NULL))),
    CONSTRAINT executions_check2 CHECK (((status = ANY (ARRAY['succeeded'::text, 'failed'::text, 'cancelled'::text])) = (finished_at IS NOT NULL))),
    CONSTRAINT executions_check3 CHECK (((status = 'running'::text) = (lease_expires_at IS NOT NULL))),
    CONSTRAINT executions_check4 CHECK (((status <> 'running'::text) OR ((started_at IS NOT NULL) AND (lease_token IS NOT NULL)))),
    CONSTRAINT executions_error_kind_check CHECK ((error_kind = ANY (ARRAY['script_error'::text, 'timeout'::text, 'out_of_memory'::text, 'invalid_input'::text, 'invalid_result'::text, 'output_too_large'::text, 'unsettled_promise'::text, 'sandbox_crash'::text, 'worker_lost'::text]))),
    CONSTRAINT executions_labels_check CHECK ((jsonb_typeof(labels) = 'object'::text)),
    CONSTRAINT executions_max_cpu_ms_check CHECK ((max_cpu_ms > 0)),
    CONSTRAINT executions_max_output_bytes_check CHECK ((max_output_bytes > 0)),
    CONSTRAINT executions_memory_bytes_check CHECK ((memory_bytes > 0)),
    CONSTRAINT executions_priority_check CHECK (((priority >= '-10'::integer) AND (priority <= 10))),
    CONSTRAINT executions_request_id_check CHECK (((length(request_id) >= 1) AND (length(request_id) <= 128))),
    CONSTRAINT executions_seed_check CHECK (((seed >= 0) AND (seed < '9007199254740992'::bigint))),
    CONSTRAINT executions_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'succeeded'::text, 'failed'::text, 'cancelled'::text]))),
    CONSTRAINT executions_traceparent_check CHECK ((octet_length(traceparent) = 55)),
    CONSTRAINT executions_wall_ms_check CHECK ((wall_ms > 0)),
    CONSTRAINT executions_warnings_check CHECK ((octet_length(warnings) <= 262144))
)
WITH (fillfactor='90');

CREATE TABLE installation (
    one boolean DEFAULT true NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    CONSTRAINT installation_one_check CHECK (one)
);

CREATE SEQUENCE lease_tokens
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE payloads (
    execution_id uuid NOT NULL,
    kind text NOT NULL,
    tenant_id uuid NOT NULL,
    sha256 bytea NOT NULL,
    size_bytes bigint NOT NULL,
    body bytea,
    blob_key text,
    erased_at timestamp with time zone,
    CONSTRAINT payloads_kept_or_erased_check CHECK ((num_nonnulls(body, blob_key, erased_at) = 1)),
    CONSTRAINT payloads_kind_check CHECK ((kind = ANY (ARRAY['input'::text, 'params'::text, 'result'::text, 'logs'::text]))),
    CONSTRAINT payloads_sha256_check CHECK ((octet_length(sha256) = 32)),
    CONSTRAINT payloads_size_bytes_check CHECK ((size_bytes >= 0))
);
ALTER TABLE ONLY payloads ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE queue (
    tenant_id uuid NOT NULL,
    priority smallint NOT NULL,
    execution_id uuid NOT NULL,
    memory_bytes bigint DEFAULT 0 NOT NULL,
    queued_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');

CREATE UNLOGGED TABLE request_counts (
    tenant_id uuid NOT NULL,
    process_id uuid NOT NULL,
    requests bigint NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE retention_duties (
    duty text NOT NULL,
    due_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    finished_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    id uuid DEFAULT '00000000-0000-0000-0000-000000000000'::uuid NOT NULL,
    CONSTRAINT retention_duties_duty_check CHECK ((duty = ANY (ARRAY['payloads'::text, 'blobs'::text])))
);

CREATE TABLE script_aliases (
    script_id uuid NOT NULL,
    alias text NOT NULL,
    tenant_id uuid NOT NULL,
    version integer NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT script_aliases_alias_check CHECK (((alias ~ '^[a-z][a-z0-9._-]{0,62}$'::text) AND (alias <> 'latest'::text)))
);

CREATE TABLE script_versions (
    script_id uuid NOT NULL,
    version integer NOT NULL,
    tenant_id uuid NOT NULL,
    source bytea NOT NULL,
    sha256 bytea NOT NULL,
    size_bytes integer GENERATED ALWAYS AS (octet_length(source)) STORED NOT NULL,
    wall_ms integer,
    memory_bytes bigint,
    max_output_bytes bigint,
    note text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    max_cpu_ms integer,
    CONSTRAINT script_versions_sha256_check CHECK ((octet_length(sha256) = 32)),
    CONSTRAINT script_versions_version_check CHECK ((version > 0))
);

CREATE TABLE scripts (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    archived_at timestamp with time zone,
    CONSTRAINT scripts_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'::text))
);

CREATE TABLE tenant_shares (
    tenant_id uuid NOT NULL,
    used_seconds double precision DEFAULT 0 NOT NULL,
    used_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    mean_seconds double precision DEFAULT 0.1 NOT NULL,
    active boolean DEFAULT false NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE tenant_usage (
    tenant_id uuid NOT NULL,
    shard smallint NOT NULL,
    queued bigint DEFAULT 0 NOT NULL,
    stored_bytes bigint DEFAULT 0 NOT NULL,
    day date NOT NULL,
    day_bytes bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='20');

CREATE TABLE tenants (
    id uuid NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    suspended_at timestamp with time zone,
    weight integer DEFAULT 100 NOT NULL,
    max_queued integer,
    max_running integer,
    max_stored_bytes bigint,
    max_bytes_per_day bigint,
    max_scripts integer,
    max_versions integer,
    max_requests_per_second integer,
    CONSTRAINT tenants_max_bytes_per_day_check CHECK ((max_bytes_per_day > 0)),
    CONSTRAINT tenants_max_queued_check CHECK ((max_queued > 0)),
    CONSTRAINT tenants_max_requests_per_second_check CHECK ((max_requests_per_second > 0)),
    CONSTRAINT tenants_max_running_check CHECK ((max_running > 0)),
    CONSTRAINT tenants_max_scripts_check CHECK ((max_scripts > 0)),
    CONSTRAINT tenants_max_stored_bytes_check CHECK ((max_stored_bytes > 0)),
    CONSTRAINT tenants_max_versions_check CHECK ((max_versions > 0)),
    CONSTRAINT tenants_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'::text)),
    CONSTRAINT tenants_weight_check CHECK (((weight >= 1) AND (weight <= 10000)))
);

CREATE TABLE workers (
    id uuid NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    slots integer NOT NULL,
    v8_version text NOT NULL,
    lockdown jsonb NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    trouble text,
    max_memory_bytes bigint,
    CONSTRAINT workers_max_memory_bytes_check CHECK ((max_memory_bytes >= 0)),
    CONSTRAINT workers_slots_check CHECK ((slots > 0))
);

ALTER TABLE ONLY access_generation
    ADD CONSTRAINT access_generation_pkey PRIMARY KEY (one);

ALTER TABLE ONLY api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY executions
    ADD CONSTRAINT executions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (one);

ALTER TABLE ONLY payloads
    ADD CONSTRAINT payloads_pkey PRIMARY KEY (execution_id, kind);

ALTER TABLE ONLY request_counts
    ADD CONSTRAINT request_counts_pkey PRIMARY KEY (tenant_id, process_id);

ALTER TABLE ONLY retention_duties
    ADD CONSTRAINT retention_duties_pkey PRIMARY KEY (duty);

ALTER TABLE ONLY script_aliases
    ADD CONSTRAINT script_aliases_pkey PRIMARY KEY (script_id, alias);

ALTER TABLE ONLY script_versions
    ADD CONSTRAINT script_versions_pkey PRIMARY KEY (script_id, version);

ALTER TABLE ONLY scripts
    ADD CONSTRAINT scripts_name_key UNIQUE (tenant_id, name);

ALTER TABLE ONLY scripts
    ADD CONSTRAINT scripts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY tenant_shares
    ADD CONSTRAINT tenant_shares_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY tenant_usage
    ADD CONSTRAINT tenant_usage_pkey PRIMARY KEY (tenant_id, shard);

ALTER TABLE ONLY tenants
    ADD CONSTRAINT tenants_name_key UNIQUE (name);

ALTER TABLE ONLY tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);

ALTER TABLE ONLY workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (id);

CREATE INDEX api_keys_page_idx ON api_keys USING btree (tenant_id, id DESC);

CREATE INDEX audit_log_target_idx ON audit_log USING btree (target, id DESC);

CREATE INDEX audit_log_tenant_idx ON audit_log USING btree (tenant_id, id DESC);

CREATE INDEX executions_finished_idx ON executions USING btree (finished_at, id) WHERE (finished_at IS NOT NULL);

CREATE INDEX executions_labels_idx ON executions USING gin (labels jsonb_path_ops);

CREATE INDEX executions_page_idx ON executions USING btree (tenant_id, id DESC);

CREATE INDEX executions_running_idx ON executions USING btree (tenant_id) WHERE (status = 'running'::text);

CREATE INDEX executions_script_idx ON executions USING btree (tenant_id, script_id, id DESC);

CREATE INDEX executions_status_idx ON executions USING btree (tenant_id, status, id DESC);

CREATE INDEX payloads_blob_idx ON payloads USING btree (blob_key) WHERE (blob_key IS NOT NULL);

CREATE UNIQUE INDEX queue_turn_idx ON queue USING btree (tenant_id, priority DESC, execution_id);

CREATE INDEX script_versions_tenant_idx ON script_versions USING btree (tenant_id);

CREATE INDEX scripts_page_idx ON scripts USING btree (tenant_id, id DESC);

CREATE INDEX tenant_shares_active_idx ON tenant_shares USING btree (tenant_id) WHERE active;

CREATE TRIGGER api_keys_change_access AFTER INSERT OR DELETE OR UPDATE OF tenant_id, secret_sha256, scopes, expires_at, revoked_at ON api_keys FOR EACH STATEMENT EXECUTE FUNCTION count_access_change();

CREATE TRIGGER audit_log_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

CREATE TRIGGER executions_delete_counts AFTER DELETE ON executions REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_queued();

CREATE TRIGGER executions_delete_queues AFTER DELETE ON executions FOR EACH ROW WHEN ((old.status = 'queued'::text)) EXECUTE FUNCTION keep_queue();

CREATE TRIGGER executions_insert_counts AFTER INSERT ON executions REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_queued();

CREATE TRIGGER executions_insert_queues AFTER INSERT ON executions FOR EACH ROW WHEN ((new.status = 'queued'::text)) EXECUTE FUNCTION keep_queue();

CREATE TRIGGER executions_update_counts AFTER UPDATE ON executions REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_queued();

CREATE TRIGGER executions_update_queues AFTER UPDATE OF status, priority ON executions FOR EACH ROW WHEN ((((old.status = 'queued'::text) OR (new.status = 'queued'::text)) AND ((old.status IS DISTINCT FROM new.status) OR (old.priority IS DISTINCT FROM new.priority)))) EXECUTE FUNCTION keep_queue();

CREATE TRIGGER payloads_delete_counts AFTER DELETE ON payloads REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_bytes();

CREATE TRIGGER payloads_insert_counts AFTER INSERT ON payloads REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_bytes();

CREATE TRIGGER payloads_insert_holds_quota AFTER INSERT ON payloads REFERENCING NEW TABLE AS added FOR EACH ROW WHEN (((new.kind = 'result'::text) OR ((new.kind = 'logs'::text) AND (new.size_bytes > 64)))) EXECUTE FUNCTION hold_quota_of_bytes();

CREATE TRIGGER payloads_update_counts AFTER UPDATE ON payloads REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_bytes();

CREATE TRIGGER script_versions_are_immutable BEFORE UPDATE ON script_versions FOR EACH ROW EXECUTE FUNCTION refuse_version_change();

CREATE TRIGGER tenants_change_access AFTER INSERT OR DELETE OR UPDATE OF name, suspended_at, weight, max_queued, max_running, max_stored_bytes, max_bytes_per_day, max_scripts, max_versions, max_requests_per_second ON tenants FOR EACH STATEMENT EXECUTE FUNCTION count_access_change();

ALTER TABLE ONLY api_keys
    ADD CONSTRAINT api_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY audit_log
    ADD CONSTRAINT audit_log_key_id_fkey FOREIGN KEY (key_id) REFERENCES api_keys(id);

ALTER TABLE ONLY audit_log
    ADD CONSTRAINT audit_log_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY executions
    ADD CONSTRAINT executions_script_id_version_fkey FOREIGN KEY (script_id, version) REFERENCES script_versions(script_id, version);

ALTER TABLE ONLY executions
    ADD CONSTRAINT executions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY payloads
    ADD CONSTRAINT payloads_execution_id_fkey FOREIGN KEY (execution_id) REFERENCES executions(id);

ALTER TABLE ONLY payloads
    ADD CONSTRAINT payloads_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY script_aliases
    ADD CONSTRAINT script_aliases_script_id_version_fkey FOREIGN KEY (script_id, version) REFERENCES script_versions(script_id, version);

ALTER TABLE ONLY script_aliases
    ADD CONSTRAINT script_aliases_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY script_versions
    ADD CONSTRAINT script_versions_script_id_fkey FOREIGN KEY (script_id) REFERENCES scripts(id);

ALTER TABLE ONLY script_versions
    ADD CONSTRAINT script_versions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY scripts
    ADD CONSTRAINT scripts_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY tenant_shares
    ADD CONSTRAINT tenant_shares_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);

ALTER TABLE ONLY tenant_usage
    ADD CONSTRAINT tenant_usage_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id);
