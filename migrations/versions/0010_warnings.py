"""Add warnings: what the result of a success lost on its way to JSON."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE executions ADD COLUMN warnings bytea CHECK (octet_length(warnings) <= 262144)"
    )
    # See migrations/sql/finish_execution_v2.sql. The first version stays for workers of older
    # releases.
    op.execute(
        """
        CREATE PROCEDURE finish_execution_v2(
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
                execution, token, its_status, its_error_kind, its_error, its_v8_version,
                its_run_ms, its_cpu_ms, its_peak_bytes,
                result_sha256, result_bytes, result_body, result_key,
                logs_sha256, logs_bytes, logs_body, logs_key,
                tenant, script, version, attempts, created_at, started_at, finished_at,
                worker_id, traceparent
            );
        END
        $$
        """
    )


def downgrade() -> None:
    op.execute("DROP PROCEDURE finish_execution_v2")
    op.execute("ALTER TABLE executions DROP COLUMN warnings")
