"""Store aliases: the names by which a script's versions are called."""

from uuid import UUID

from app.db import Connection, from_row, optional_from_row
from app.references import Alias
from app.scripts.model import ComparisonVerdict

PUT_ALIAS = """
INSERT INTO script_aliases AS a (script_id, alias, tenant_id, version)
VALUES ($1, $2, $3, $4)
ON CONFLICT (script_id, alias) DO UPDATE SET version = EXCLUDED.version, updated_at = now()
WHERE a.tenant_id = EXCLUDED.tenant_id
RETURNING alias, version, updated_at
"""


async def put_alias(
    conn: Connection, tenant: UUID, script_id: UUID, *, alias: str, version: int
) -> Alias:
    """Create an alias or move it; the version must exist."""
    row = await conn.fetchrow(PUT_ALIAS, script_id, alias, tenant, version)
    assert row is not None  # noqa: S101 - INSERT ... RETURNING gives its row
    return from_row(Alias, row)


_ALIASES = """
SELECT alias, version, updated_at
FROM script_aliases
WHERE tenant_id = $1 AND script_id = $2
"""

SELECT_ALIAS = _ALIASES + "AND alias = $3"


async def select_alias(conn: Connection, tenant: UUID, script_id: UUID, alias: str) -> Alias | None:
    """Find one alias."""
    return optional_from_row(Alias, await conn.fetchrow(SELECT_ALIAS, tenant, script_id, alias))


SELECT_ALIAS_PAGE = _ALIASES + 'AND alias > $3 COLLATE "C" ORDER BY alias COLLATE "C" LIMIT $4'


async def select_alias_page(
    conn: Connection, tenant: UUID, script_id: UUID, *, after: str, limit: int
) -> list[Alias]:
    """List a script's aliases in the order of their names."""
    rows = await conn.fetch(SELECT_ALIAS_PAGE, tenant, script_id, after, limit)
    return [from_row(Alias, row) for row in rows]


DELETE_ALIAS = """
DELETE FROM script_aliases
WHERE tenant_id = $1 AND script_id = $2 AND alias = $3
"""


async def delete_alias(conn: Connection, tenant: UUID, script_id: UUID, alias: str) -> None:
    """Delete an alias, if there is one."""
    await conn.execute(DELETE_ALIAS, tenant, script_id, alias)


SELECT_VERDICT = """
SELECT from_version, to_version, state = 'finished' AS finished, clean
FROM comparisons
WHERE tenant_id = $1 AND script_id = $2 AND id = $3
"""


async def select_verdict(
    conn: Connection, tenant: UUID, script_id: UUID, comparison_id: UUID
) -> ComparisonVerdict | None:
    """Find what a comparison of this script says."""
    row = await conn.fetchrow(SELECT_VERDICT, tenant, script_id, comparison_id)
    return optional_from_row(ComparisonVerdict, row)
