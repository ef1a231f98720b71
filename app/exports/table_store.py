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
    """A partition that has files: its folders below the destination, and its values."""

    path: str
    values: Sequence[str | None]


SELECT_FOLDERS = """
SELECT partition, min(name) AS name
FROM export_files
WHERE tenant_id = $1 AND export_id = $2 AND published
GROUP BY partition
ORDER BY min(name)
"""


async def select_folders(conn: Connection, tenant: UUID, export_id: UUID) -> list[Folder]:
    """Return each partition of an export, in the order of their paths."""
    return [
        Folder(
            path=folder_of(row["name"]),
            values=msgspec.json.decode(row["partition"], type=list[str | None]),
        )
        for row in await conn.fetch(SELECT_FOLDERS, tenant, export_id)
    ]
