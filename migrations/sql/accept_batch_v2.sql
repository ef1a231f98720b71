-- Accept a batch: an execution for each input that an upload has staged; return what refuses it, if
-- anything does.
--
-- Everything is stored in the caller's transaction, or nothing: after a refusal it must be rolled
-- back. Quotas are exact: the last count is taken under the exclusive lock, and all items count.
--
-- An item of its own seed, clock, script or limits has them in its staged row (a replay); others have
-- the batch's. A replay's input keeps its media type. An input that could not be staged has an error there, and becomes an execution that
-- has failed already. The ids follow the lines and sort behind what was accepted before.
CREATE OR REPLACE FUNCTION accept_batch_v2(
    tenant uuid, batch uuid, upload uuid, items integer,
    script uuid, script_version integer,
    wall_ms integer, max_cpu_ms integer, memory_bytes bigint, max_output_bytes bigint,
    default_wall_ms integer, default_memory_bytes bigint, min_memory_bytes bigint,
    ceiling_wall_ms integer, ceiling_cpu_ms integer,
    ceiling_memory_bytes bigint, ceiling_output_bytes bigint,
    labels jsonb, seed bigint, priority smallint, params bytea,
    traceparent text, request_id text, callback_url text,
    max_queued bigint, max_stored_bytes bigint, max_bytes_per_day bigint,
    seen_within_seconds double precision
) RETURNS TABLE (quota text, cap bigint, used bigint, limit_bytes bigint, largest_bytes bigint)
LANGUAGE plpgsql
SET jit = off SET enable_mergejoin = off
AS $$
#variable_conflict use_variable
DECLARE
    moment     timestamptz;
    size_bytes bigint;
    params_bytes bigint;
    staged     integer;
    unusable   integer;
    prefix     constant text := left(batch::text, 13);
BEGIN
    SELECT count(*), coalesce(sum(i.size_bytes), 0), count(i.error),
           coalesce(sum(length(coalesce(i.params, accept_batch_v2.params))), 0)
    INTO staged, size_bytes, unusable, params_bytes
    FROM batch_inputs AS i
    WHERE i.tenant_id = tenant AND i.upload_id = upload;
    IF staged <> items THEN
        -- A crash of the server empties the unlogged table.
        RAISE EXCEPTION 'the upload has lost inputs' USING ERRCODE = 'serialization_failure';
    END IF;
    -- A first look, without a lock: what does not fit now is not stored in vain.
    RETURN QUERY
    SELECT r.quota, r.cap, r.used, NULL::bigint, NULL::bigint
    FROM quota_against_batch_v1(
        tenant => tenant,
        items => items - unusable,
        input_bytes => size_bytes,
        params_bytes => params_bytes,
        max_queued => max_queued,
        max_stored_bytes => max_stored_bytes,
        max_bytes_per_day => max_bytes_per_day
    ) AS r;
    IF FOUND THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT NULL::text, NULL::bigint, NULL::bigint, max(r.memory_bytes), w.max_memory_bytes
    FROM (SELECT CASE WHEN count(*) = count(w.max_memory_bytes) THEN max(w.max_memory_bytes) END
                 AS max_memory_bytes
          FROM workers AS w
          WHERE w.seen_at > now() - make_interval(secs => seen_within_seconds)) AS w
    CROSS JOIN LATERAL (
        SELECT least(coalesce(i.memory_bytes, memory_bytes, v.memory_bytes,
                              greatest(least(default_memory_bytes, w.max_memory_bytes),
                                       min_memory_bytes)),
                     ceiling_memory_bytes) AS memory_bytes
        FROM batch_inputs AS i
        JOIN script_versions AS v
          ON v.script_id = coalesce(i.script_id, script)
         AND v.version = coalesce(i.version, script_version)
        WHERE i.tenant_id = tenant AND i.upload_id = upload
    ) AS r
    GROUP BY w.max_memory_bytes
    HAVING max(r.memory_bytes) > w.max_memory_bytes;
    IF FOUND THEN
        RETURN;
    END IF;
    moment := clock_timestamp();
    INSERT INTO batches (id, tenant_id, script_id, version, items, input_bytes, labels, priority,
                         request_id, callback_url, created_at)
    VALUES (batch, tenant, script, script_version, items, size_bytes, labels, priority,
            request_id, callback_url, moment);
    IF unusable > 0 THEN
        -- An update, as it may end the batch, and add its callback.
        UPDATE batches AS b
        SET failed = unusable,
            first_ended_at = moment,
            last_ended_at = moment,
            finished_at = CASE WHEN unusable = items THEN moment END
        WHERE b.id = batch;
    END IF;
    WITH line AS MATERIALIZED (
        DELETE FROM batch_inputs AS i
        WHERE i.tenant_id = tenant AND i.upload_id = upload
        RETURNING i.*, (prefix || '-7' || lpad(to_hex(i.line >> 12), 3, '0')
                        || '-8' || lpad(to_hex(i.line & 4095), 3, '0')
                        || '-' || right(gen_random_uuid()::text, 12))::uuid AS id
    ),
    workforce AS MATERIALIZED (
        SELECT CASE WHEN count(*) = count(w.max_memory_bytes) THEN max(w.max_memory_bytes) END
               AS max_memory_bytes
        FROM workers AS w
        WHERE w.seen_at > now() - make_interval(secs => seen_within_seconds)
    ),
    accepted AS (
        INSERT INTO executions
               (id, tenant_id, batch_id, batch_line, script_id, version,
                wall_ms, max_cpu_ms, memory_bytes, max_output_bytes,
                labels, seed, priority, traceparent, request_id, created_at, clock_ms,
                status, error_kind, error, finished_at)
        SELECT i.id, tenant, batch, i.line, v.script_id, v.version,
               least(coalesce(i.wall_ms, wall_ms, v.wall_ms, default_wall_ms), ceiling_wall_ms),
               least(coalesce(i.max_cpu_ms, max_cpu_ms, v.max_cpu_ms,
                              i.wall_ms, wall_ms, v.wall_ms, default_wall_ms), ceiling_cpu_ms),
               least(coalesce(i.memory_bytes, memory_bytes, v.memory_bytes,
                              greatest(least(default_memory_bytes, workforce.max_memory_bytes),
                                       min_memory_bytes)),
                     ceiling_memory_bytes),
               least(coalesce(i.max_output_bytes, max_output_bytes, v.max_output_bytes),
                     ceiling_output_bytes),
               coalesce(i.labels, labels),
               coalesce(i.seed, seed, floor(random() * 9007199254740992)::bigint),
               coalesce(i.priority, priority), traceparent, request_id, moment,
               coalesce(i.clock_ms, floor(extract(epoch FROM moment) * 1000)),
               CASE WHEN i.error IS NULL THEN 'queued' ELSE 'failed' END,
               CASE WHEN i.error IS NOT NULL THEN 'invalid_input' END,
               i.error,
               CASE WHEN i.error IS NOT NULL THEN moment END
        FROM line AS i
        CROSS JOIN workforce
        JOIN script_versions AS v
          ON v.script_id = coalesce(i.script_id, script)
         AND v.version = coalesce(i.version, script_version)
        ORDER BY i.line
    ),
    -- The originals' outcomes are copied: they may be deleted before their replays are read.
    repeated AS (
        INSERT INTO replays (execution_id, tenant_id, replay_of, status, output_sha256, error)
        SELECT i.id, tenant, e.id, e.status, r.sha256, e.error
        FROM line AS i
        JOIN executions AS e ON e.tenant_id = tenant AND e.id = i.replay_of
        LEFT JOIN payloads AS r ON r.execution_id = e.id AND r.kind = 'result'
    )
    INSERT INTO payloads (execution_id, kind, tenant_id, sha256, size_bytes, body, blob_key,
                          media_type)
    SELECT i.id, p.kind, tenant, p.sha256, p.size_bytes, p.body, p.blob_key, p.media_type
    FROM line AS i
    CROSS JOIN LATERAL (
        VALUES ('input', i.sha256, i.size_bytes, i.body, i.blob_key, i.media_type),
               ('params', sha256(coalesce(i.params, params)), length(coalesce(i.params, params)),
                coalesce(i.params, params), NULL, NULL)
    ) AS p (kind, sha256, size_bytes, body, blob_key, media_type)
    WHERE p.sha256 IS NOT NULL;
    IF num_nonnulls(max_queued, max_stored_bytes, max_bytes_per_day) > 0 THEN
        -- The exact count, which now includes the batch. Others of the tenant wait from here to the
        -- commit only, not while all items are stored.
        PERFORM pg_advisory_xact_lock(hashtextextended(tenant::text, 1));
        RETURN QUERY
        SELECT r.quota, r.cap,
               r.used - CASE r.quota WHEN 'queued' THEN items - unusable
                                     WHEN 'stored-bytes' THEN size_bytes + params_bytes
                                     ELSE size_bytes END,
               NULL::bigint, NULL::bigint
        FROM quota_against_batch_v1(
            tenant => tenant,
            items => 0,
            input_bytes => 0,
            params_bytes => 0,
            max_queued => max_queued,
            max_stored_bytes => max_stored_bytes,
            max_bytes_per_day => max_bytes_per_day
        ) AS r;
    END IF;
END
$$
