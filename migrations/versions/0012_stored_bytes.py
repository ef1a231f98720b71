"""Hold tenants to their quota of stored bytes exactly, as outcomes are recorded."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

UP = (
    # See migrations/sql/hold_quota_of_bytes.sql.
    """
    CREATE FUNCTION hold_quota_of_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        quota   bigint;
        more    bigint;
        refusal record;
    BEGIN
        SELECT coalesce(
                   t.max_stored_bytes,
                   nullif(current_setting('crivo.default_max_stored_bytes', true), '')::bigint
               )
        INTO quota
        FROM tenants AS t
        WHERE t.id = NEW.tenant_id;
        IF quota IS NULL THEN
            RETURN NULL;
        END IF;
        SELECT sum(a.size_bytes) INTO more
        FROM added AS a
        WHERE a.tenant_id = NEW.tenant_id AND (a.kind <> 'logs' OR a.size_bytes > 64);
        SELECT * INTO refusal
        FROM quota_against_execution(NEW.tenant_id, more, NULL, quota, NULL);
        IF refusal.quota IS NOT NULL THEN
            RAISE EXCEPTION 'the tenant''s quota of stored bytes is used up' USING
                ERRCODE = 'CR507',
                DETAIL = format('{"limit":%s,"used":%s}', refusal.cap, refusal.used);
        END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER payloads_insert_holds_quota
    AFTER INSERT ON payloads REFERENCING NEW TABLE AS added
    FOR EACH ROW
    WHEN (NEW.kind = 'result' OR NEW.kind = 'logs' AND NEW.size_bytes > 64)
    EXECUTE FUNCTION hold_quota_of_bytes()
    """,
)
DOWN = (
    "DROP TRIGGER payloads_insert_holds_quota ON payloads",
    "DROP FUNCTION hold_quota_of_bytes()",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
