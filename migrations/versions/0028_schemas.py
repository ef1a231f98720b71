"""Schemas: JSON Schemas with immutable versions and aliases, and the scopes of data quality."""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

UP = (
    """
    CREATE TABLE schemas (
        id            uuid        PRIMARY KEY,
        tenant_id     uuid        NOT NULL REFERENCES tenants,
        name          text        NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
        description   text        NOT NULL DEFAULT '',
        compatibility text        NOT NULL DEFAULT 'none'
                                  CHECK (compatibility IN ('none', 'backward', 'forward', 'full')),
        archived_at   timestamptz,
        created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT schemas_name_key UNIQUE (tenant_id, name)
    )
    """,
    """
    CREATE TABLE schema_versions (
        schema_id  uuid        NOT NULL REFERENCES schemas,
        version    integer     NOT NULL CHECK (version > 0),
        tenant_id  uuid        NOT NULL REFERENCES tenants,
        document   bytea       NOT NULL CHECK (octet_length(document) <= 1048576),
        size_bytes integer     NOT NULL GENERATED ALWAYS AS (octet_length(document)) STORED,
        sha256     bytea       NOT NULL GENERATED ALWAYS AS (sha256(document)) STORED,
        strict     boolean     NOT NULL,
        note       text        NOT NULL DEFAULT '',
        verdict    jsonb,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (schema_id, version)
    )
    """,
    """
    CREATE TABLE schema_references (
        schema_id         uuid    NOT NULL,
        version           integer NOT NULL,
        target_id         uuid    NOT NULL,
        target_version    integer NOT NULL,
        tenant_id         uuid    NOT NULL REFERENCES tenants,
        PRIMARY KEY (schema_id, version, target_id, target_version),
        FOREIGN KEY (schema_id, version) REFERENCES schema_versions,
        FOREIGN KEY (target_id, target_version) REFERENCES schema_versions
    )
    """,
    """
    CREATE TABLE schema_aliases (
        schema_id  uuid        NOT NULL REFERENCES schemas,
        alias      text        NOT NULL
                   CHECK (alias ~ '^[a-z][a-z0-9._-]{0,62}$' AND alias <> 'latest'),
        tenant_id  uuid        NOT NULL REFERENCES tenants,
        version    integer     NOT NULL,
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (schema_id, alias),
        FOREIGN KEY (schema_id, version) REFERENCES schema_versions
    )
    """,
    "CREATE INDEX schemas_page_idx ON schemas (tenant_id, id DESC)",
    "CREATE INDEX schema_versions_tenant_idx ON schema_versions (tenant_id)",
    """
    CREATE TRIGGER schema_versions_are_immutable BEFORE UPDATE ON schema_versions
    FOR EACH ROW EXECUTE FUNCTION refuse_version_change()
    """,
)

_TABLES = {
    "schemas": "JSON Schemas by name; their content is that of versions",
    "schema_versions": "immutable versions of schemas",
    "schema_references": "registered schemas that a version refers to, directly",
    "schema_aliases": "movable names for versions",
}

_COLUMNS = {
    "schemas.compatibility": "what a new version must be to the one before",
    "schema_versions.document": "the schema as it was sent, byte for byte",
    "schema_versions.strict": "whether objects refuse fields that the schema does not register",
    "schema_versions.verdict": "compatibility with the version before, with reasons; NULL: first",
}

_SCOPES = "'read', 'scripts:write', 'executions:write', 'datasets:write'"
_NEW_SCOPES = ("schemas:write", "pipes:write", "events:write")


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)
    for kind, comments in (("TABLE", _TABLES), ("COLUMN", _COLUMNS)):
        for name, comment in comments.items():
            quoted = comment.replace("'", "''").replace(":", "\\:")
            op.execute(f"COMMENT ON {kind} {name} IS '{quoted}'")
    new = ", ".join(f"'{scope}'" for scope in _NEW_SCOPES)
    _allow_scopes(f"{_SCOPES}, {new}, 'admin'")


def downgrade() -> None:
    # A key that had no other scope can do nothing.
    removed = ", ".join(f"'{scope}'" for scope in _NEW_SCOPES).replace(":", "\\:")
    op.execute(f"""
        UPDATE api_keys AS k
        SET scopes = CASE WHEN left_over = '{{}}' THEN '{{read}}' ELSE left_over END,
            revoked_at = CASE WHEN left_over = '{{}}'
                              THEN coalesce(revoked_at, clock_timestamp()) ELSE revoked_at END
        FROM (
            SELECT id, ARRAY(
                SELECT scope FROM unnest(scopes) AS scope WHERE scope <> ALL (ARRAY[{removed}])
            ) AS left_over
            FROM api_keys
        ) AS l
        WHERE l.id = k.id AND k.scopes && ARRAY[{removed}]
    """)  # noqa: S608 - put together from constants
    _allow_scopes(f"{_SCOPES}, 'admin'")
    for table in ("schema_aliases", "schema_references", "schema_versions", "schemas"):
        op.execute(f"DROP TABLE {table}")


def _allow_scopes(scopes: str) -> None:
    escaped = scopes.replace(":", "\\:")
    op.execute("ALTER TABLE api_keys DROP CONSTRAINT api_keys_scopes_check")
    op.execute(f"""
        ALTER TABLE api_keys ADD CONSTRAINT api_keys_scopes_check
        CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY[{escaped}])
    """)
