"""Check that Crivo can use a PostgreSQL server, before anything else uses it."""

from typing import Final

from msgspec import Struct

MIN_VERSION: Final = 15

CHECK_SERVER: Final = """
SELECT current_setting('server_version_num')::integer / 10000 AS version,
       current_setting('server_encoding') AS encoding,
       pg_is_in_recovery() AS standby,
       current_setting('transaction_read_only')::boolean AS read_only,
       current_user::text AS role,
       current_schema()::text AS schema,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create
"""

# The tables that nearly every request reads and writes, as a sample of all.
CHECK_TABLES: Final = """
SELECT string_agg(t, ', ')
FROM unnest(ARRAY['executions', 'payloads', 'queue', 'scripts', 'workers']) AS t
WHERE to_regclass(t) IS NOT NULL
  AND NOT (has_table_privilege(t, 'SELECT') AND has_table_privilege(t, 'INSERT'))
"""


class ServerFacts(Struct, frozen=True, kw_only=True):
    """The row of CHECK_SERVER."""

    version: int
    encoding: str
    standby: bool
    read_only: bool
    role: str
    schema: str | None
    may_create: bool


def refusal_of(server: ServerFacts, *, to_migrate: bool = False) -> str:
    """Return in one line why the server cannot be used; "" if it can.

    `to_migrate`: the role must be able to create tables, too.
    """
    reasons = (
        (
            server.version < MIN_VERSION,
            f"the server is PostgreSQL {server.version}; Crivo needs {MIN_VERSION} or newer",
        ),
        (
            server.encoding != "UTF8",
            (
                f"the database's encoding is {server.encoding}; Crivo needs UTF8: "
                "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            ),
        ),
        (
            server.standby,
            "the server is a standby, which is read-only; name the primary in DATABASE_URL",
        ),
        (
            server.read_only,
            f"transactions of the role {server.role} are read-only (default_transaction_read_only)",
        ),
        (
            server.schema is None,
            (
                f"the role {server.role} may use no schema of its search_path: "
                f'GRANT USAGE, CREATE ON SCHEMA public TO "{server.role}"'
            ),
        ),
        (
            to_migrate and not server.may_create,
            (
                f"the role {server.role} may not create tables in the schema {server.schema}: "
                f'GRANT CREATE ON SCHEMA {server.schema} TO "{server.role}"'
            ),
        ),
    )
    return next((reason for applies, reason in reasons if applies), "")
