"""Select the published files, parts and indexes of a dataset, for catalogs and merges."""

from uuid import UUID

from msgspec import Struct

from app.datasets.parts import PartRef, SegmentRef
from app.db import Connection, from_row, optional_from_row


class CatalogFile(Struct, frozen=True, kw_only=True):
    """A published file, in the snapshots from `added_in` up to `removed_in`."""

    id: UUID
    added_in: int
    removed_in: int | None
    position: int
    lines: int

    def is_in(self, snapshot: int) -> bool:
        """Return whether a snapshot has the file."""
        return self.added_in <= snapshot and (self.removed_in is None or snapshot < self.removed_in)


class CatalogPart(PartRef, frozen=True, kw_only=True):
    """A published part, its sequence in the dataset and its lines in its file."""

    sequence: int
    file_id: UUID
    first_line: int
    lines: int


class DatasetState(Struct, frozen=True, kw_only=True):
    """What of a dataset changes with its revision."""

    revision: int
    last_snapshot: int
    snapshots: frozenset[int]


SELECT_STATE = """
SELECT d.revision, d.last_snapshot, ARRAY(
    SELECT s.number
    FROM dataset_snapshots AS s
    WHERE s.tenant_id = d.tenant_id AND s.dataset_id = d.id
) AS snapshots
FROM datasets AS d
WHERE d.tenant_id = $1 AND d.id = $2
"""


async def select_state(conn: Connection, tenant: UUID, dataset_id: UUID) -> DatasetState | None:
    """Return the revision of a dataset and its snapshots; None if it is deleted."""
    return optional_from_row(DatasetState, await conn.fetchrow(SELECT_STATE, tenant, dataset_id))


SELECT_CATALOG_FILES = """
SELECT id, added_in, removed_in, position, lines
FROM dataset_files
WHERE tenant_id = $1 AND dataset_id = $2 AND added_in IS NOT NULL
"""


async def select_catalog_files(
    conn: Connection, tenant: UUID, dataset_id: UUID
) -> list[CatalogFile]:
    """List the published files of a dataset."""
    rows = await conn.fetch(SELECT_CATALOG_FILES, tenant, dataset_id)
    return [from_row(CatalogFile, row) for row in rows]


SELECT_CATALOG_PARTS = """
SELECT p.sequence, p.file_id, p.first_line, p.lines, p.blob_key, p.raw_bytes, p.stored_bytes
FROM dataset_files AS f
JOIN dataset_parts AS p ON p.tenant_id = f.tenant_id AND p.file_id = f.id
WHERE f.tenant_id = $1 AND f.dataset_id = $2 AND f.added_in > $3 AND p.sequence > $4
ORDER BY p.sequence
LIMIT $5
"""


class PartPosition(Struct, frozen=True, kw_only=True):
    """Up to where parts are known: all of a snapshot, and those up to a sequence."""

    snapshot: int
    sequence: int


async def select_catalog_parts(
    conn: Connection, tenant: UUID, dataset_id: UUID, *, after: PartPosition, limit: int
) -> list[CatalogPart]:
    """List the parts of files that were added after a snapshot, by sequence."""
    rows = await conn.fetch(
        SELECT_CATALOG_PARTS, tenant, dataset_id, after.snapshot, after.sequence, limit
    )
    return [from_row(CatalogPart, row) for row in rows]


class StoredSegment(Struct, frozen=True, kw_only=True):
    """An index: of one part (`sequence`), or merged from the parts of a range of sequences."""

    blob_key: str
    stored_bytes: int
    sequence: int | None
    first_sequence: int
    entries: int

    def ref(self) -> SegmentRef:
        """Return the reference that readers and merges take."""
        return SegmentRef(
            blob_key=self.blob_key, stored_bytes=self.stored_bytes, sequence=self.sequence
        )


SELECT_SEGMENTS = """
SELECT r.blob_key, r.stored_bytes, NULL::bigint AS sequence, r.first_sequence, r.entries
FROM dataset_segments AS r
WHERE r.tenant_id = $1 AND r.dataset_id = $2
UNION ALL
SELECT p.index_key, p.index_bytes, p.sequence, p.sequence, p.records
FROM dataset_files AS f
JOIN dataset_parts AS p ON p.tenant_id = f.tenant_id AND p.file_id = f.id
WHERE f.tenant_id = $1 AND f.dataset_id = $2 AND p.index_key IS NOT NULL
  AND p.sequence IS NOT NULL
ORDER BY first_sequence DESC
"""


async def select_segments(conn: Connection, tenant: UUID, dataset_id: UUID) -> list[StoredSegment]:
    """List the indexes of a dataset's published parts, newest first."""
    rows = await conn.fetch(SELECT_SEGMENTS, tenant, dataset_id)
    return [from_row(StoredSegment, row) for row in rows]
