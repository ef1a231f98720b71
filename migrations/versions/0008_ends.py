"""Add a procedure that records an outcome and notifies readers, in one round trip."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # See migrations/sql/finish_execution.sql.
    op.execute(
        """
        CREATE PROCEDURE finish_execution(
            execution uuid, token bigint, its_status text, its_error_kind text, its_error bytea,
            its_v8_version text, its_run_ms double precision, its_cpu_ms double precision,
            its_peak_bytes bigint,
            result_sha256 bytea, result_bytes bigint, result_body bytea, result_key text,
            logs_sha256 bytea, logs_bytes bigint, logs_body bytea, logs_key text,
            INOUT tenant text DEFAULT NULL, INOUT script text DEFAULT NULL,
            INOUT version integer DEFAULT NULL, INOUT attempts smallint DEFAULT NULL,
            INOUT created_at timestamptz DEFAULT NULL, INOUT started_at timestamptz DEFAULT NULL,
            INOUT finished_at timestamptz DEFAULT NULL, INOUT worker_id uuid DEFAULT NULL,
            INOUT traceparent text DEFAULT NULL
        ) LANGUAGE plpgsql AS $$
        #variable_conflict use_column
        DECLARE
            found executions;
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
            RETURNING e.* INTO found;
            IF found.id IS NOT NULL THEN
                INSERT INTO payloads
                       (execution_id, kind, tenant_id, sha256, size_bytes, body, blob_key)
                SELECT found.id, p.kind, found.tenant_id, p.sha256, p.size_bytes, p.body, p.blob_key
                FROM (VALUES ('result', result_sha256, result_bytes, result_body, result_key),
                             ('logs', logs_sha256, logs_bytes, logs_body, logs_key))
                     AS p (kind, sha256, size_bytes, body, blob_key)
                WHERE p.sha256 IS NOT NULL;
            ELSE
                SELECT e.* INTO found
                FROM executions AS e
                WHERE e.id = execution AND e.lease_token = token AND e.finished_at IS NOT NULL;
                IF found.id IS NULL THEN
                    RETURN;
                END IF;
            END IF;
            tenant := (SELECT t.name FROM tenants AS t WHERE t.id = found.tenant_id);
            script := (SELECT s.name FROM scripts AS s WHERE s.id = found.script_id);
            version := found.version;
            attempts := found.attempts;
            created_at := found.created_at;
            started_at := found.started_at;
            finished_at := found.finished_at;
            worker_id := found.worker_id;
            traceparent := found.traceparent;
            COMMIT;
            PERFORM pg_notify('crivo_executions', format('{"ended":["%s"]}', found.id));
        END
        $$
        """
    )


def downgrade() -> None:
    op.execute("DROP PROCEDURE finish_execution")
