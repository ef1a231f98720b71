"""Read the published files of an export, and its manifest."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec
from msgspec import Struct

from app.db import Connection, from_row
from app.exports.model import ExportFile, Manifest, ManifestFile
from app.exports.plan.model import Column, Plan
from app.exports.written import columns_in, folder_of
from app.payloads.model import StoredPayload
from app.runs.model import SnapshotRef


async def select_file_page(
    conn: Connection, tenant: UUID, export_id: UUID, *, after: str, limit: int
) -> list[ExportFile]:
    """List published files by their paths."""
    rows = await _select_page(conn, tenant, export_id, after=after, limit=limit)
    return [_file(export_id, row) for row in rows]


async def select_manifest_page(
    conn: Connection, tenant: UUID, export_id: UUID, *, after: str, limit: int
) -> list[ManifestFile]:
    """List published files by their paths, as a manifest does."""
    rows = await _select_page(conn, tenant, export_id, after=after, limit=limit)
    return [from_row(ManifestFile, row) for row in rows]


SELECT_PAGE = """
SELECT name AS path, rows, bytes, encode(sha256, 'hex') AS sha256, blob_key
FROM export_files
WHERE tenant_id = $1 AND export_id = $2 AND published AND name > $3
ORDER BY name
LIMIT $4
"""


async def _select_page(
    conn: Connection, tenant: UUID, export_id: UUID, *, after: str, limit: int
) -> list[dict[str, Any]]:
    rows = await conn.fetch(SELECT_PAGE, tenant, export_id, after, limit)
    return [dict(row) for row in rows]


def _file(export_id: UUID, row: Mapping[str, Any]) -> ExportFile:
    path, is_here = row["path"], row["blob_key"] is not None
    return ExportFile(
        path=path,
        partition=folder_of(path),
        rows=row["rows"],
        bytes=row["bytes"],
        sha256=row["sha256"],
        url=f"/exports/{export_id}/files/{quote(path)}" if is_here else None,
    )


class FoundFile(Struct, frozen=True, kw_only=True):
    """A published file; `stored` is None where its bytes are only at the destination."""

    stored: StoredPayload | None
    destination: str | None


SELECT_FILE = """
SELECT f.bytes, f.sha256, f.blob_key, e.destination
FROM export_files AS f
JOIN exports AS e ON e.tenant_id = f.tenant_id AND e.id = f.export_id
WHERE f.tenant_id = $1 AND f.export_id = $2 AND f.published AND f.name = $3
"""


async def select_file(
    conn: Connection, tenant: UUID, export_id: UUID, name: str
) -> FoundFile | None:
    """Find a published file by its path; None if there is none."""
    row = await conn.fetchrow(SELECT_FILE, tenant, export_id, name)
    if row is None:
        return None
    if row["blob_key"] is None:
        return FoundFile(stored=None, destination=row["destination"])
    stored = StoredPayload(
        sha256=row["sha256"], size_bytes=row["bytes"], body=None, blob_key=row["blob_key"]
    )
    return FoundFile(stored=stored, destination=row["destination"])


SELECT_MANIFEST = """
SELECT dataset, snapshot, plan, columns, rows_in, duplicates, rows_failed,
       coalesce(rows_out, 0) AS rows_out,
       encode(input_sha256, 'hex') AS input_sha256, encode(output_sha256, 'hex') AS output_sha256
FROM exports
WHERE tenant_id = $1 AND id = $2
"""


async def read_manifest(conn: Connection, tenant: UUID, export_id: UUID) -> Manifest | None:
    """Return the manifest of an export, without its files; None: there is no such export."""
    row = await conn.fetchrow(SELECT_MANIFEST, tenant, export_id)
    if row is None:
        return None
    plan = msgspec.json.decode(row["plan"], type=Plan)
    columns = msgspec.json.decode(row["columns"] or b"[]", type=list[Column])
    return Manifest(
        export=export_id,
        format="parquet",
        input=SnapshotRef(dataset=row["dataset"], snapshot=row["snapshot"]),
        input_sha256=row["input_sha256"],
        output_sha256=row["output_sha256"],
        rows_in=row["rows_in"],
        duplicates=row["duplicates"],
        rows_failed=row["rows_failed"],
        rows_out=row["rows_out"],
        columns=columns_in(plan, columns),
        partition_by=[each.name for each in plan.partition_by],
        files=(),
    )
