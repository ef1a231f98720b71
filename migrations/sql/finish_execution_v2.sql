-- Record the outcome of an execution as finish_execution does, with its warnings.
--
-- Few executions have warnings: the others cost no statement more. Both statements belong to the
-- transaction that finish_execution commits.
CREATE OR REPLACE PROCEDURE finish_execution_v2(
    execution uuid, token bigint, its_status text, its_error_kind text, its_error bytea,
    its_v8_version text, its_run_ms double precision, its_cpu_ms double precision,
    its_peak_bytes bigint,
    result_sha256 bytea, result_bytes bigint, result_body bytea, result_key text,
    logs_sha256 bytea, logs_bytes bigint, logs_body bytea, logs_key text,
    its_warnings bytea,
    INOUT tenant text DEFAULT NULL, INOUT script text DEFAULT NULL,
    INOUT version integer DEFAULT NULL, INOUT attempts smallint DEFAULT NULL,
    INOUT created_at timestamptz DEFAULT NULL, INOUT started_at timestamptz DEFAULT NULL,
    INOUT finished_at timestamptz DEFAULT NULL, INOUT worker_id uuid DEFAULT NULL,
    INOUT traceparent text DEFAULT NULL
) LANGUAGE plpgsql AS $$
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
$$
