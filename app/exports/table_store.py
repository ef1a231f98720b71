"""Read what a table over the files of an export is made of."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec import Struct

from app.db import Connection
from app.exports.plan.model import Column, Plan
from app.exports.written import file_columns, folder_of


class Table(Struct, frozen=True, kw_only=True):
    """What a table over the files of an export is made of."""

    dataset: str
    snapshot: int
    destination: str | None
    plan: Plan
    columns: Sequence[Column]


SELECT_TABLE = """
SELECT dataset, snapshot, destination, plan, columns
FROM exports
WHERE tenant_id = $1 AND id = $2
"""


async def select_table(conn: Connection, tenant: UUID, export_id: UUID) -> Table | None:
    """Return what a table over an export is made of; None if there is no such export."""
    row = await conn.fetchrow(SELECT_TABLE, tenant, export_id)
    if row is None:
        return None
    plan = msgspec.json.decode(row["plan"], type=Plan)
    columns = msgspec.json.decode(row["columns"] or b"[]", type=list[Column])
    return Table(
        dataset=row["dataset"],
        snapshot=row["snapshot"],
        destination=row["destination"],
        plan=plan,
        columns=file_columns(plan, columns),
    )


class Folder(Struct, frozen=True, kw_only=True):
    """A partition: its folders below the destination, and its values."""

    path: str
    values: Sequence[str | None]


# The first file of each: names after a folder's begin with the folder and `0`, which is after `/`.
# Without one, all do: a level's name begins with a letter or an underscore.
SELECT_FOLDERS = """
WITH RECURSIVE firsts AS (
    (SELECT f.name, f.partition
     FROM export_files AS f
     WHERE f.tenant_id = $1 AND f.export_id = $2 AND f.published AND f.name > $3 || '0'
     ORDER BY f.name
     LIMIT 1)
    UNION ALL
    SELECT n.name, n.partition
    FROM firsts
    CROSS JOIN LATERAL (
        SELECT f.name, f.partition
        FROM export_files AS f
        WHERE f.tenant_id = $1 AND f.export_id = $2 AND f.published
          AND f.name > regexp_replace(firsts.name, '/[^/]*$', '0')
        ORDER BY f.name
        LIMIT 1
    ) AS n
)
SELECT name, partition
FROM firsts
LIMIT $4
"""


async def select_folders(
    conn: Connection, tenant: UUID, export_id: UUID, *, after: str, limit: int
) -> list[Folder]:
    """List the partitions of an export that has levels, by their folders."""
    rows = await conn.fetch(SELECT_FOLDERS, tenant, export_id, after, limit)
    return [_folder(folder_of(row["name"]), row["partition"]) for row in rows]


# By the export and by those that it continues, as far back as they are kept.
SELECT_EMPTIED_FOLDERS = """
WITH RECURSIVE chain AS (
    SELECT e.id, e.base_id
    FROM exports AS e
    WHERE e.tenant_id = $1 AND e.id = $2
    UNION ALL
    SELECT b.id, b.base_id
    FROM chain
    JOIN exports AS b ON b.tenant_id = $1 AND b.id = chain.base_id
)
SELECT DISTINCT ON (p.folder) p.folder, p.partition
FROM chain
JOIN export_emptied_partitions AS p ON p.tenant_id = $1 AND p.export_id = chain.id
WHERE p.folder > $3
  AND NOT EXISTS (
      SELECT
      FROM export_files AS f
      WHERE f.tenant_id = $1 AND f.export_id = $2 AND f.published
        AND f.name > p.folder || '/' AND f.name < p.folder || '0'
  )
ORDER BY p.folder
LIMIT $4
"""


async def select_emptied_folders(
    conn: Connection, tenant: UUID, export_id: UUID, *, after: str, limit: int
) -> list[Folder]:
    """List the partitions without files here that an export before had, by their folders."""
    rows = await conn.fetch(SELECT_EMPTIED_FOLDERS, tenant, export_id, after, limit)
    return [_folder(row["folder"], row["partition"]) for row in rows]


def _folder(path: str, partition: bytes) -> Folder:
    return Folder(path=path, values=msgspec.json.decode(partition, type=list[str | None]))
