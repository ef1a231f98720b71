"""Select the published files, parts and indexes of a dataset, for catalogs, in pages.

Each page is converted before the next is read: other requests get their turn between two.
"""

from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID

from msgspec import Struct

from app.datasets.parts import PartRef, SegmentRef
from app.db import Connection, from_row, optional_from_row

_PAGE: Final = 2_000
# Above all positions, ids and sequences.
_LAST: Final = 2**31 - 1
_LAST_ID: Final = UUID(int=2**128 - 1)
_LAST_SEQUENCE: Final = 2**32


class CatalogFile(Struct, frozen=True, kw_only=True):
    """A published file, in the snapshots from `added_in` up to `removed_in`."""

    id: UUID
    added_in: int
    removed_in: int | None
    lines: int
    parts: int


class CatalogPart(PartRef, frozen=True, kw_only=True):
    """A published part, its sequence in the dataset and its lines in its file."""

    sequence: int
    first_line: int
    lines: int


class DatasetState(Struct, frozen=True, kw_only=True):
    """What of a dataset changes with its revision; `snapshots` are the numbers, in order."""

    revision: int
    last_snapshot: int
    next_sequence: int
    snapshots: list[int]


SELECT_STATE = """
SELECT d.revision, d.last_snapshot, d.next_sequence,
       ARRAY(SELECT s.number
             FROM dataset_snapshots AS s
             WHERE s.tenant_id = d.tenant_id AND s.dataset_id = d.id
             ORDER BY s.number) AS snapshots
FROM datasets AS d
WHERE d.tenant_id = $1 AND d.id = $2
"""


async def select_state(conn: Connection, tenant: UUID, dataset_id: UUID) -> DatasetState | None:
    """Return the revision of a dataset and its snapshots; None if it is deleted."""
    return optional_from_row(DatasetState, await conn.fetchrow(SELECT_STATE, tenant, dataset_id))


SELECT_ADDED_FILES = """
SELECT id, added_in, removed_in, lines, parts, position
FROM dataset_files
WHERE tenant_id = $1 AND dataset_id = $2 AND added_in >= $3 AND (added_in, position) > ($3, $4)
ORDER BY added_in, position
LIMIT $5
"""


async def select_added_files(
    conn: Connection, tenant: UUID, dataset_id: UUID, *, snapshot: int
) -> AsyncIterator[CatalogFile]:
    """Yield the files that were added after a snapshot, in the order of their publication."""
    after = (snapshot, _LAST)
    while rows := await conn.fetch(SELECT_ADDED_FILES, tenant, dataset_id, *after, _PAGE):
        for row in rows:
            yield from_row(CatalogFile, row)
        after = (rows[-1]["added_in"], rows[-1]["position"])


class RemovedFile(Struct, frozen=True, kw_only=True):
    """A file that no snapshot has from `removed_in` on."""

    id: UUID
    removed_in: int


SELECT_REMOVED_FILES = """
SELECT id, removed_in
FROM dataset_files
WHERE tenant_id = $1 AND dataset_id = $2 AND removed_in >= $3 AND (removed_in, id) > ($3, $4)
  AND added_in <= $5
ORDER BY removed_in, id
LIMIT $6
"""


async def select_removed_files(
    conn: Connection, tenant: UUID, dataset_id: UUID, *, snapshot: int
) -> AsyncIterator[RemovedFile]:
    """Yield the files of a snapshot, or of an earlier one, that were removed after it."""
    after = (snapshot, _LAST_ID)
    while rows := await conn.fetch(
        SELECT_REMOVED_FILES, tenant, dataset_id, *after, snapshot, _PAGE
    ):
        for row in rows:
            yield from_row(RemovedFile, row)
        after = (rows[-1]["removed_in"], rows[-1]["id"])


SELECT_ADDED_PARTS = """
SELECT sequence, first_line, lines, blob_key, raw_bytes, stored_bytes
FROM dataset_parts
WHERE tenant_id = $1 AND dataset_id = $2 AND sequence >= $3
ORDER BY sequence
LIMIT $4
"""


async def select_added_parts(
    conn: Connection, tenant: UUID, dataset_id: UUID, *, first_sequence: int
) -> AsyncIterator[CatalogPart]:
    """Yield the parts from a sequence on."""
    first = first_sequence
    while rows := await conn.fetch(SELECT_ADDED_PARTS, tenant, dataset_id, first, _PAGE):
        for row in rows:
            yield from_row(CatalogPart, row)
        first = rows[-1]["sequence"] + 1


SELECT_MERGED_SEGMENTS = """
SELECT blob_key, stored_bytes, NULL::bigint AS sequence
FROM dataset_segments
WHERE tenant_id = $1 AND dataset_id = $2
ORDER BY first_sequence DESC
"""

SELECT_PART_SEGMENTS = """
SELECT index_key AS blob_key, index_bytes AS stored_bytes, sequence
FROM dataset_parts
WHERE tenant_id = $1 AND dataset_id = $2 AND index_key IS NOT NULL AND sequence < $3
ORDER BY sequence DESC
LIMIT $4
"""


async def select_segments(
    conn: Connection, tenant: UUID, dataset_id: UUID
) -> AsyncIterator[SegmentRef]:
    """Yield the indexes of a dataset's published parts, newest first.

    Merges take the oldest indexes of parts, so those that are left are newer than any merged one.
    """
    before = _LAST_SEQUENCE
    while rows := await conn.fetch(SELECT_PART_SEGMENTS, tenant, dataset_id, before, _PAGE):
        for row in rows:
            yield from_row(SegmentRef, row)
        before = rows[-1]["sequence"]
    for row in await conn.fetch(SELECT_MERGED_SEGMENTS, tenant, dataset_id):
        yield from_row(SegmentRef, row)
