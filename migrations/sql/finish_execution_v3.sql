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
CREATE OR REPLACE PROCEDURE finish_execution_v3(
    execution uuid, token bigint, its_status text, its_error_kind text, its_error bytea,
    its_v8_version text, its_run_ms double precision, its_cpu_ms double precision,
    its_peak_bytes bigint,
    result_sha256 bytea, result_bytes bigint, result_body bytea, result_key text,
    logs_sha256 bytea, logs_bytes bigint, logs_body bytea, logs_key text,
    its_warnings bytea, begun_ms_ago double precision,
    INOUT tenant text DEFAULT NULL, INOUT script text DEFAULT NULL,
    INOUT version integer DEFAULT NULL, INOUT attempts smallint DEFAULT NULL,
    INOUT created_at timestamptz DEFAULT NULL, INOUT started_at timestamptz DEFAULT NULL,
    INOUT finished_at timestamptz DEFAULT NULL, INOUT worker_id uuid DEFAULT NULL,
    INOUT traceparent text DEFAULT NULL
) LANGUAGE plpgsql AS $$
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
        warnings = its_warnings,
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
$$
