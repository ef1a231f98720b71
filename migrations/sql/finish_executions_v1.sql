-- Record the outcomes of several executions as finish_execution_v3 does, with one notification.
--
-- Each outcome is fenced by its own token. The result names those that were recorded; about the
-- others finish_execution_v3 says whether the claim was lost or its outcome recorded before.
--
-- Rows are locked in the order of their ids, as a renewal of leases locks them, and quotas in the
-- order of their tenants, so two statements cannot wait for each other. A result over a quota of
-- stored bytes raises CR507, and then nothing is recorded.
CREATE OR REPLACE PROCEDURE finish_executions_v1(
    claimed uuid[], tokens bigint[], statuses text[], error_kinds text[], errors bytea[],
    v8_versions text[], runs_ms double precision[], cpus_ms double precision[],
    peaks_bytes bigint[],
    result_sha256s bytea[], result_sizes bigint[], result_bodies bytea[], result_keys text[],
    logs_sha256s bytea[], logs_sizes bigint[], logs_bodies bytea[], logs_keys text[],
    its_warnings bytea[], isolations text[], begun_ms_ago double precision[],
    INOUT ids uuid[] DEFAULT NULL, INOUT valid_tokens bigint[] DEFAULT NULL,
    INOUT tenants text[] DEFAULT NULL, INOUT scripts text[] DEFAULT NULL,
    INOUT versions integer[] DEFAULT NULL, INOUT attempts smallint[] DEFAULT NULL,
    INOUT created_ats timestamptz[] DEFAULT NULL, INOUT started_ats timestamptz[] DEFAULT NULL,
    INOUT finished_ats timestamptz[] DEFAULT NULL, INOUT worker_ids uuid[] DEFAULT NULL,
    INOUT traceparents text[] DEFAULT NULL
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    -- A plan from when the tables were small must not outlive that; a procedure that commits cannot
    -- have these as its own settings.
    PERFORM set_config('enable_seqscan', 'off', true),
            set_config('enable_hashjoin', 'off', true),
            set_config('enable_mergejoin', 'off', true);
    WITH report AS MATERIALIZED (
        SELECT *
        FROM ROWS FROM (
            unnest(claimed), unnest(tokens), unnest(statuses), unnest(error_kinds),
            unnest(errors), unnest(v8_versions), unnest(runs_ms), unnest(cpus_ms),
            unnest(peaks_bytes),
            unnest(result_sha256s), unnest(result_sizes), unnest(result_bodies),
            unnest(result_keys),
            unnest(logs_sha256s), unnest(logs_sizes), unnest(logs_bodies), unnest(logs_keys),
            unnest(its_warnings), unnest(isolations), unnest(begun_ms_ago)
        ) AS r (
            id, token, status, error_kind, error, v8_version, run_ms, cpu_ms, peak_bytes,
            result_sha256, result_bytes, result_body, result_key,
            logs_sha256, logs_bytes, logs_body, logs_key, warnings, isolation,
            begun_ms_ago
        )
    ),
    valid AS MATERIALIZED (
        SELECT e.id
        FROM report AS r
        JOIN executions AS e ON e.id = r.id
        WHERE e.status = 'running' AND e.lease_token = r.token
        ORDER BY e.id
        FOR NO KEY UPDATE OF e
    ),
    recorded AS (
        UPDATE executions AS e
        SET status = r.status,
            attempts = greatest(e.attempts, 1),
            error_kind = r.error_kind,
            error = r.error,
            warnings = r.warnings,
            v8_version = r.v8_version,
            isolation = r.isolation,
            run_ms = r.run_ms,
            cpu_ms = r.cpu_ms,
            peak_memory_bytes = r.peak_bytes,
            started_at = CASE WHEN e.held
                              THEN greatest(e.started_at,
                                            clock_timestamp() - r.begun_ms_ago * interval '1 ms')
                              ELSE e.started_at END,
            finished_at = clock_timestamp(),
            held = false,
            lease_expires_at = NULL
        FROM valid
        JOIN report AS r ON r.id = valid.id
        WHERE e.id = valid.id AND e.status = 'running' AND e.lease_token = r.token
        RETURNING e.id, e.lease_token, e.tenant_id, e.script_id, e.version, e.attempts, e.created_at,
                  e.started_at, e.finished_at, e.worker_id, e.traceparent
    ),
    stored AS (
        INSERT INTO payloads (execution_id, kind, tenant_id, sha256, size_bytes, body, blob_key)
        SELECT e.id, p.kind, e.tenant_id, p.sha256, p.size_bytes, p.body, p.blob_key
        FROM recorded AS e
        JOIN report AS r ON r.id = e.id AND r.token = e.lease_token
        CROSS JOIN LATERAL (
            VALUES ('result', r.result_sha256, r.result_bytes, r.result_body, r.result_key),
                   ('logs', r.logs_sha256, r.logs_bytes, r.logs_body, r.logs_key)
        ) AS p (kind, sha256, size_bytes, body, blob_key)
        WHERE p.sha256 IS NOT NULL
        ORDER BY e.tenant_id, e.id
    )
    SELECT array_agg(e.id), array_agg(e.lease_token), array_agg(t.name), array_agg(s.name),
           array_agg(e.version), array_agg(e.attempts), array_agg(e.created_at), array_agg(e.started_at),
           array_agg(e.finished_at), array_agg(e.worker_id), array_agg(e.traceparent)
    INTO ids, valid_tokens, tenants, scripts, versions, attempts, created_ats, started_ats,
         finished_ats, worker_ids, traceparents
    FROM recorded AS e
    JOIN tenants AS t ON t.id = e.tenant_id
    JOIN scripts AS s ON s.id = e.script_id;
    COMMIT;
    IF ids IS NOT NULL THEN
        PERFORM pg_notify('crivo_executions',
                          format('{"ended":["%s"]}', array_to_string(ids, '","')));
    END IF;
END
$$
