"""Select the files of snapshots, and the parts that they are stored in."""

from uuid import UUID

from msgspec import Struct

from app.datasets.model import File
from app.datasets.parts import PartRef
from app.db import Connection, from_row

_FILES = """
SELECT f.id, f.path, f.added_in, f.parts, f.raw_bytes, f.stored_bytes, f.lines, f.records,
       f.missing_keys, f.duplicates, encode(f.digest, 'hex') AS digest, f.created_at
FROM dataset_files AS f
WHERE f.tenant_id = $1 AND f.dataset_id = $2
  AND f.added_in <= $3 AND (f.removed_in IS NULL OR f.removed_in > $3)
"""

SELECT_FILE = _FILES + "AND f.path = $4"


class StoredFile(File, frozen=True, kw_only=True):
    """A file with its id."""

    id: UUID

    def described(self) -> File:
        """Return the file without its id."""
        return File(**{name: getattr(self, name) for name in File.__struct_fields__})


async def select_file(
    conn: Connection, tenant: UUID, dataset_id: UUID, snapshot: int, path: str
) -> StoredFile | None:
    """Find a file of a snapshot by its path."""
    row = await conn.fetchrow(SELECT_FILE, tenant, dataset_id, snapshot, path)
    return None if row is None else from_row(StoredFile, row)


SELECT_FILE_PAGE = _FILES + "AND f.path > $4 ORDER BY f.path LIMIT $5"


async def select_file_page(
    conn: Connection, tenant: UUID, dataset_id: UUID, snapshot: int, *, after: str, limit: int
) -> list[File]:
    """List the files of a snapshot by path."""
    rows = await conn.fetch(SELECT_FILE_PAGE, tenant, dataset_id, snapshot, after, limit)
    return [from_row(StoredFile, row).described() for row in rows]


class FilePart(PartRef, frozen=True, kw_only=True):
    """A part of a file, and where it begins there."""

    number: int
    first_byte: int


# From the last part that begins at or before the span, or the last one that was listed.
SELECT_FILE_PARTS = """
SELECT p.number, p.first_byte, p.blob_key, p.raw_bytes, p.stored_bytes
FROM dataset_parts AS p
WHERE p.tenant_id = $1 AND p.file_id = $2 AND p.number > $3
  AND p.first_byte >= greatest(
      (SELECT max(q.first_byte)
       FROM dataset_parts AS q
       WHERE q.tenant_id = $1 AND q.file_id = $2 AND q.first_byte <= $4),
      (SELECT q.first_byte
       FROM dataset_parts AS q
       WHERE q.tenant_id = $1 AND q.file_id = $2 AND q.number = $3)
  )
  AND p.first_byte < $5 AND p.first_byte + p.raw_bytes > $4
ORDER BY p.first_byte, p.number
LIMIT $6
"""


class ByteSpan(Struct, frozen=True, kw_only=True):
    """The bytes of a file from `start` up to `end`."""

    start: int
    end: int


async def select_file_parts(
    conn: Connection, tenant: UUID, file_id: UUID, span: ByteSpan, *, after: int, limit: int
) -> list[FilePart]:
    """List the parts with bytes of a span, in order, from the one after number `after` on."""
    rows = await conn.fetch(SELECT_FILE_PARTS, tenant, file_id, after, span.start, span.end, limit)
    return [from_row(FilePart, row) for row in rows]
