"""Create the core tables: tenants, scripts, versions, aliases, executions, payloads, workers."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UP = (
    """
    CREATE TABLE tenants (
        id         uuid        PRIMARY KEY,
        name       text        NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    # A fresh installation has one tenant, whose id app/tenants knows.
    """
    INSERT INTO tenants (id, name)
    VALUES ('00000000-0000-7000-8000-000000000001', 'default')
    """,
    """
    CREATE TABLE scripts (
        id          uuid        PRIMARY KEY,
        tenant_id   uuid        NOT NULL REFERENCES tenants,
        name        text        NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
        description text        NOT NULL DEFAULT '',
        created_at  timestamptz NOT NULL DEFAULT now(),
        updated_at  timestamptz NOT NULL DEFAULT now(),
        archived_at timestamptz,
        CONSTRAINT scripts_name_key UNIQUE (tenant_id, name)
    )
    """,
    "CREATE INDEX scripts_page_idx ON scripts (tenant_id, id DESC)",
    """
    CREATE TABLE script_versions (
        script_id        uuid        NOT NULL REFERENCES scripts,
        version          integer     NOT NULL CHECK (version > 0),
        tenant_id        uuid        NOT NULL REFERENCES tenants,
        source           bytea       NOT NULL,
        sha256           bytea       NOT NULL CHECK (octet_length(sha256) = 32),
        size_bytes       integer     NOT NULL GENERATED ALWAYS AS (octet_length(source)) STORED,
        wall_ms          integer,
        memory_bytes     bigint,
        max_output_bytes bigint,
        note             text        NOT NULL DEFAULT '',
        created_at       timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (script_id, version)
    )
    """,
    # The reasons of functions are in migrations/sql, one file for each.
    """
    CREATE FUNCTION refuse_version_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'a script version is immutable' USING ERRCODE = 'restrict_violation';
    END
    $$
    """,
    """
    CREATE TRIGGER script_versions_are_immutable
    BEFORE UPDATE ON script_versions
    FOR EACH ROW EXECUTE FUNCTION refuse_version_change()
    """,
    """
    CREATE TABLE script_aliases (
        script_id  uuid        NOT NULL,
        alias      text        NOT NULL CHECK (alias ~ '^[a-z][a-z0-9._-]{0,62}$'
                                               AND alias <> 'latest'),
        tenant_id  uuid        NOT NULL REFERENCES tenants,
        version    integer     NOT NULL,
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (script_id, alias),
        FOREIGN KEY (script_id, version) REFERENCES script_versions
    )
    """,
    """
    CREATE TABLE workers (
        id         uuid        PRIMARY KEY,
        host       text        NOT NULL,
        pid        integer     NOT NULL,
        slots      integer     NOT NULL CHECK (slots > 0),
        v8_version text        NOT NULL,
        lockdown   jsonb       NOT NULL,
        started_at timestamptz NOT NULL DEFAULT now(),
        seen_at    timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE SEQUENCE lease_tokens AS bigint",
    """
    CREATE TABLE executions (
        id                uuid        PRIMARY KEY,
        tenant_id         uuid        NOT NULL REFERENCES tenants,
        script_id         uuid        NOT NULL,
        version           integer     NOT NULL,
        status            text        NOT NULL DEFAULT 'queued' CHECK (status IN
                          ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
        labels            jsonb       NOT NULL DEFAULT '{}'
                          CHECK (jsonb_typeof(labels) = 'object'),
        wall_ms           integer     NOT NULL CHECK (wall_ms > 0),
        memory_bytes      bigint      NOT NULL CHECK (memory_bytes > 0),
        max_output_bytes  bigint      NOT NULL CHECK (max_output_bytes > 0),
        seed              bigint      NOT NULL CHECK (seed >= 0 AND seed < 9007199254740992),
        clock_ms          bigint      NOT NULL,
        created_at        timestamptz NOT NULL,
        started_at        timestamptz,
        finished_at       timestamptz,
        attempts          smallint    NOT NULL DEFAULT 0,
        worker_id         uuid,
        lease_token       bigint,
        lease_expires_at  timestamptz,
        error_kind        text        CHECK (error_kind IN
                          ('script_error', 'timeout', 'out_of_memory', 'invalid_input',
                           'invalid_result', 'output_too_large', 'unsettled_promise',
                           'sandbox_crash', 'worker_lost')),
        error             bytea,
        v8_version        text,
        run_ms            double precision,
        cpu_ms            double precision,
        peak_memory_bytes bigint,
        FOREIGN KEY (script_id, version) REFERENCES script_versions,
        CHECK ((status = 'failed') = (error_kind IS NOT NULL)),
        CHECK ((error_kind IS NULL) = (error IS NULL)),
        CHECK ((status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
        CHECK ((status = 'running') = (lease_expires_at IS NOT NULL)),
        CHECK (status <> 'running' OR (started_at IS NOT NULL AND lease_token IS NOT NULL))
    )
    """,
    # Partial: the cost of claims and of expired leases does not grow with the history.
    "CREATE INDEX executions_queue_idx ON executions (id) WHERE status = 'queued'",
    """
    CREATE INDEX executions_lease_idx ON executions (lease_expires_at)
    WHERE status = 'running'
    """,
    "CREATE INDEX executions_page_idx ON executions (tenant_id, id DESC)",
    """
    CREATE INDEX executions_status_idx
    ON executions (tenant_id, status, id DESC)
    """,
    """
    CREATE INDEX executions_script_idx
    ON executions (tenant_id, script_id, id DESC)
    """,
    "CREATE INDEX executions_labels_idx ON executions USING gin (labels jsonb_path_ops)",
    """
    CREATE TABLE payloads (
        execution_id uuid   NOT NULL REFERENCES executions,
        kind         text   NOT NULL CHECK (kind IN ('input', 'result', 'logs')),
        tenant_id    uuid   NOT NULL REFERENCES tenants,
        sha256       bytea  NOT NULL CHECK (octet_length(sha256) = 32),
        size_bytes   bigint NOT NULL CHECK (size_bytes >= 0),
        body         bytea,
        blob_key     text,
        PRIMARY KEY (execution_id, kind),
        CHECK (num_nonnulls(body, blob_key) = 1)
    )
    """,
    # Payloads are written once and read once or twice: compression costs more than it saves.
    "ALTER TABLE payloads ALTER COLUMN body SET STORAGE EXTERNAL",
)

DOWN = (
    "DROP TABLE payloads",
    "DROP TABLE executions",
    "DROP SEQUENCE lease_tokens",
    "DROP TABLE workers",
    "DROP TABLE script_aliases",
    "DROP TABLE script_versions",
    "DROP FUNCTION refuse_version_change()",
    "DROP TABLE scripts",
    "DROP TABLE tenants",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
