-- Record the outcome of an execution, commit, and notify the readers that wait for it.
--
-- `begun_ms_ago` says when an execution that was held has begun; NULL: at its claim.
--
-- The lease token fences the report: a worker that was presumed dead changes nothing. A report may
-- be repeated when its answer was lost with the connection; then the procedure returns what this
-- very claim has recorded. Without a recorded outcome of this claim, `finished_at` is NULL.
--
-- Two transactions: NOTIFY takes a lock of which a server has one, and inside the first transaction
-- it would be held until the commit is flushed. A crash between the two loses the notification;
-- app/notifications.py describes what makes up for it.
--
-- A small outcome goes with the notification, so that a reader that waits needs no read of its own:
-- `outcome` is the row that app/executions/store.py would read, with bytes in base64. A payload of
-- NOTIFY is shorter than 8,000 bytes; of a larger outcome only the id is sent, and so it is of an item
-- of a batch, for which hardly anybody waits.
--
-- `result_type` is the media type of a result that is bytes, which no reader gets inside JSON; NULL:
-- the result is JSON.
CREATE OR REPLACE PROCEDURE finish_execution_v6(
    execution uuid, token bigint, its_status text, its_error_kind text, its_error bytea,
    its_v8_version text, its_run_ms double precision, its_cpu_ms double precision,
    its_peak_bytes bigint,
    result_sha256 bytea, result_bytes bigint, result_body bytea, result_key text,
    result_type text,
    logs_sha256 bytea, logs_bytes bigint, logs_body bytea, logs_key text,
    its_warnings bytea, its_isolation text, begun_ms_ago double precision,
    INOUT tenant text DEFAULT NULL, INOUT script text DEFAULT NULL,
    INOUT version integer DEFAULT NULL, INOUT attempts smallint DEFAULT NULL,
    INOUT created_at timestamptz DEFAULT NULL, INOUT started_at timestamptz DEFAULT NULL,
    INOUT finished_at timestamptz DEFAULT NULL, INOUT worker_id uuid DEFAULT NULL,
    INOUT traceparent text DEFAULT NULL
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    recorded executions;
    notice   text;
    outcome  text;
BEGIN
    UPDATE executions AS e
    SET status = its_status,
        attempts = greatest(e.attempts, 1),
        error_kind = its_error_kind,
        error = its_error,
        warnings = its_warnings,
        v8_version = its_v8_version,
        isolation = its_isolation,
        run_ms = its_run_ms,
        cpu_ms = its_cpu_ms,
        peak_memory_bytes = its_peak_bytes,
        started_at = CASE WHEN e.held
                          THEN greatest(e.started_at,
                                        clock_timestamp() - begun_ms_ago * interval '1 ms')
                          ELSE e.started_at END,
        finished_at = clock_timestamp(),
        held = false,
        lease_expires_at = NULL
    WHERE e.id = execution AND e.status = 'running' AND e.lease_token = token
    RETURNING e.* INTO recorded;
    IF recorded.id IS NOT NULL THEN
        INSERT INTO payloads (execution_id, kind, tenant_id, sha256, size_bytes, body, blob_key,
                              media_type)
        SELECT recorded.id, p.kind, recorded.tenant_id, p.sha256, p.size_bytes, p.body, p.blob_key,
               p.media_type
        FROM (VALUES ('result', result_sha256, result_bytes, result_body, result_key, result_type),
                     ('logs', logs_sha256, logs_bytes, logs_body, logs_key, NULL))
             AS p (kind, sha256, size_bytes, body, blob_key, media_type)
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
    notice := format('{"ended":["%s"]}', recorded.id);
    -- Sizes first: bytes grow by a third in base64.
    IF recorded.batch_id IS NULL
       AND (CASE WHEN result_type IS NULL THEN coalesce(octet_length(result_body), 0) ELSE 0 END)
           + coalesce(octet_length(recorded.error), 0)
           + coalesce(octet_length(recorded.warnings), 0) <= 4096 THEN
        -- As in finish_executions_v1.
        PERFORM set_config('enable_seqscan', 'off', true),
                set_config('enable_hashjoin', 'off', true),
                set_config('enable_mergejoin', 'off', true);
        SELECT row_to_json(o)::text INTO outcome
        FROM (
            SELECT recorded.tenant_id, recorded.id, recorded.status, recorded.labels,
                   recorded.priority, recorded.attempts, recorded.created_at,
                   recorded.started_at, recorded.finished_at,
                   translate(encode(recorded.error, 'base64'), E'\n', '') AS error,
                   CASE WHEN i.erased_at IS NULL
                        THEN translate(encode(recorded.warnings, 'base64'), E'\n', '')
                        END AS warnings,
                   recorded.seed, recorded.clock_ms, recorded.v8_version, recorded.isolation,
                   recorded.run_ms,
                   recorded.cpu_ms, recorded.peak_memory_bytes, recorded.wall_ms,
                   recorded.max_cpu_ms, recorded.memory_bytes, recorded.max_output_bytes,
                   s.id AS script_id, s.name AS script_name, recorded.version,
                   encode(v.sha256, 'hex') AS script_sha256,
                   (SELECT to_jsonb(named)
                    FROM (
                        SELECT x.id, x.name, y.version, encode(y.sha256, 'hex') AS sha256
                        FROM schema_versions AS y
                        JOIN schemas AS x ON x.id = y.schema_id
                        WHERE y.schema_id = v.input_schema_id
                          AND y.version = v.input_schema_version
                    ) AS named) AS input_schema,
                   (SELECT to_jsonb(named)
                    FROM (
                        SELECT x.id, x.name, y.version, encode(y.sha256, 'hex') AS sha256
                        FROM schema_versions AS y
                        JOIN schemas AS x ON x.id = y.schema_id
                        WHERE y.schema_id = v.output_schema_id
                          AND y.version = v.output_schema_version
                    ) AS named) AS output_schema,
                   encode(i.sha256, 'hex') AS input_sha256, i.size_bytes AS input_bytes,
                   i.media_type AS input_type, i.erased_at AS data_erased_at, recorded.callback_url,
                   encode(r.sha256, 'hex') AS output_sha256, r.size_bytes AS output_bytes,
                   r.media_type AS output_type,
                   encode(p.sha256, 'hex') AS params_sha256, p.size_bytes AS params_bytes,
                   rp.replay_of, rp.status AS original_status,
                   translate(encode(rp.error, 'base64'), E'\n', '') AS original_error,
                   encode(rp.output_sha256, 'hex') AS original_sha256,
                   translate(encode(p.body, 'base64'), E'\n', '') AS params,
                   CASE WHEN r.media_type IS NULL
                        THEN translate(encode(r.body, 'base64'), E'\n', '') END AS result
            FROM scripts AS s
            JOIN script_versions AS v
              ON v.script_id = recorded.script_id AND v.version = recorded.version
            JOIN payloads AS i ON i.execution_id = recorded.id AND i.kind = 'input'
            LEFT JOIN payloads AS r ON r.execution_id = recorded.id AND r.kind = 'result'
            LEFT JOIN payloads AS p ON p.execution_id = recorded.id AND p.kind = 'params'
            LEFT JOIN replays AS rp ON rp.execution_id = recorded.id
            WHERE s.id = recorded.script_id
              AND coalesce(octet_length(p.body), 0)
                  + CASE WHEN r.media_type IS NULL THEN coalesce(octet_length(r.body), 0) ELSE 0 END
                  <= 4096
        ) AS o;
        IF octet_length(notice) + octet_length(outcome) < 7950 THEN
            notice := format('{"ended":["%s"],"outcome":%s}', recorded.id, outcome);
        END IF;
    END IF;
    PERFORM pg_notify('crivo_executions', notice);
END
$$
