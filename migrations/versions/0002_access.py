"""Add access control: suspended tenants and their caps, API keys, the audit log."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UP = (
    # A cap that is NULL is the default of the settings.
    """
    ALTER TABLE tenants
        ADD COLUMN updated_at              timestamptz NOT NULL DEFAULT now(),
        ADD COLUMN suspended_at            timestamptz,
        ADD COLUMN weight                  integer NOT NULL DEFAULT 100
                                           CHECK (weight BETWEEN 1 AND 10000),
        ADD COLUMN max_queued              integer CHECK (max_queued > 0),
        ADD COLUMN max_running             integer CHECK (max_running > 0),
        ADD COLUMN max_stored_bytes        bigint  CHECK (max_stored_bytes > 0),
        ADD COLUMN max_bytes_per_day       bigint  CHECK (max_bytes_per_day > 0),
        ADD COLUMN max_scripts             integer CHECK (max_scripts > 0),
        ADD COLUMN max_versions            integer CHECK (max_versions > 0),
        ADD COLUMN max_requests_per_second integer CHECK (max_requests_per_second > 0)
    """,
    # The secret is stored nowhere, only its hash. Admin keys belong to the tenant `default`.
    """
    CREATE TABLE api_keys (
        id            uuid        PRIMARY KEY,
        tenant_id     uuid        NOT NULL REFERENCES tenants,
        name          text        NOT NULL DEFAULT '',
        secret_sha256 bytea       NOT NULL CHECK (octet_length(secret_sha256) = 32),
        scopes        text[]      NOT NULL CHECK (cardinality(scopes) > 0 AND scopes <@
                                  ARRAY['read', 'scripts:write', 'executions:write', 'admin']),
        created_at    timestamptz NOT NULL DEFAULT now(),
        expires_at    timestamptz,
        revoked_at    timestamptz,
        last_used_at  timestamptz,
        CONSTRAINT api_keys_admin_check CHECK (NOT 'admin' = ANY (scopes)
                   OR tenant_id = '00000000-0000-7000-8000-000000000001')
    )
    """,
    "CREATE INDEX api_keys_page_idx ON api_keys (tenant_id, id DESC)",
    # See migrations/sql/count_access_change.sql.
    """
    CREATE TABLE access_generation (
        one        boolean PRIMARY KEY DEFAULT true CHECK (one),
        generation bigint  NOT NULL
    )
    """,
    """
    CREATE FUNCTION count_access_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO access_generation AS g (generation) VALUES (1)
        ON CONFLICT (one) DO UPDATE SET generation = g.generation + 1;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER api_keys_change_access
    AFTER INSERT OR DELETE OR UPDATE OF tenant_id, secret_sha256, scopes, expires_at, revoked_at
    ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION count_access_change()
    """,
    """
    CREATE TRIGGER tenants_change_access
    AFTER INSERT OR DELETE OR UPDATE OF name, suspended_at, weight, max_queued, max_running,
        max_stored_bytes, max_bytes_per_day, max_scripts, max_versions, max_requests_per_second
    ON tenants
    FOR EACH STATEMENT EXECUTE FUNCTION count_access_change()
    """,
    """
    CREATE TABLE audit_log (
        id         uuid        PRIMARY KEY,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        tenant_id  uuid        NOT NULL REFERENCES tenants,
        via        text        NOT NULL CHECK (via IN ('key', 'open', 'command')),
        key_id     uuid        REFERENCES api_keys,
        address    inet,
        request_id text        NOT NULL,
        action     text        NOT NULL CHECK (action ~ '^[a-z]+\\.[a-z]+$'),
        target     text        NOT NULL,
        details    jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(details) = 'object'),
        CHECK ((via = 'key') = (key_id IS NOT NULL))
    )
    """,
    "CREATE INDEX audit_log_tenant_idx ON audit_log (tenant_id, id DESC)",
    "CREATE INDEX audit_log_target_idx ON audit_log (target, id DESC)",
    """
    CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation';
    END
    $$
    """,
    """
    CREATE TRIGGER audit_log_is_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()
    """,
)

DOWN = (
    "DROP TABLE audit_log",
    "DROP FUNCTION refuse_audit_change()",
    "DROP TRIGGER tenants_change_access ON tenants",
    "DROP TABLE api_keys",
    "DROP FUNCTION count_access_change()",
    "DROP TABLE access_generation",
    """
    ALTER TABLE tenants
        DROP COLUMN updated_at,
        DROP COLUMN suspended_at,
        DROP COLUMN weight,
        DROP COLUMN max_queued,
        DROP COLUMN max_running,
        DROP COLUMN max_stored_bytes,
        DROP COLUMN max_bytes_per_day,
        DROP COLUMN max_scripts,
        DROP COLUMN max_versions,
        DROP COLUMN max_requests_per_second
    """,
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
