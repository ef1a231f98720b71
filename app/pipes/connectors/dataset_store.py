"""Read the files of datasets that pipes follow, and publish what pipes forward to them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import uuid_utils.compat as uuid
from msgspec import Struct

from app.datasets import commit_store, store, upload_store
from app.datasets.commit_store import HeldFile
from app.datasets.model import Mode
from app.datasets.parts import Format, PartRef, StoredPart
from app.datasets.publishing import require_no_folders
from app.datasets.upload_store import PartKeys
from app.db import Connection, from_row, optional_from_row

# The upload that the file is of can be forgotten at once: no client knows it.
_HOURS: Final = 0


class FoundDataset(Struct, frozen=True, kw_only=True):
    """A dataset that a pipe reads or writes."""

    id: UUID
    format: Format
    key: str | None
    hash_seed: int


FIND_DATASET = """
SELECT id, format, key, hash_seed
FROM datasets
WHERE tenant_id = $1 AND name = $2
"""


async def find_dataset(conn: Connection, tenant: UUID, name: str) -> FoundDataset | None:
    """Find a dataset by its name."""
    return optional_from_row(FoundDataset, await conn.fetchrow(FIND_DATASET, tenant, name))


class NextFile(Struct, frozen=True, kw_only=True):
    """A file that a snapshot added, and its place among those."""

    id: UUID
    path: str
    snapshot: int
    place: int
    lines: int


# Also a file that a later snapshot has removed, as long as its own is kept.
SELECT_NEXT_FILE = """
SELECT id, path, added_in AS snapshot, position AS place, lines
FROM dataset_files
WHERE tenant_id = $1 AND dataset_id = $2 AND (added_in, position) >= ($3, $4)
ORDER BY added_in, position
LIMIT 1
"""


async def select_next_file(
    conn: Connection, tenant: UUID, dataset_id: UUID, *, snapshot: int, place: int
) -> NextFile | None:
    """Find a file by its place, or the first one after that."""
    row = await conn.fetchrow(SELECT_NEXT_FILE, tenant, dataset_id, snapshot, place)
    return optional_from_row(NextFile, row)


class LinesOfPart(PartRef, frozen=True, kw_only=True):
    """A part of a file, and where its lines begin there."""

    first_line: int
    lines: int


SELECT_PARTS = """
SELECT blob_key, raw_bytes, stored_bytes, first_line, lines
FROM dataset_parts
WHERE tenant_id = $1 AND file_id = $2 AND first_line + lines > $3
ORDER BY number
LIMIT $4
"""


async def select_parts(
    conn: Connection, tenant: UUID, file_id: UUID, *, first_line: int, limit: int
) -> list[LinesOfPart]:
    """List the parts of a file from the one with a line on."""
    rows = await conn.fetch(SELECT_PARTS, tenant, file_id, first_line, limit)
    return [from_row(LinesOfPart, row) for row in rows]


HAS_FILE = "SELECT EXISTS (SELECT FROM dataset_files WHERE tenant_id = $1 AND id = $2)"


async def has_file(conn: Connection, tenant: UUID, file_id: UUID) -> bool:
    """Return whether a file has not been deleted."""
    found: bool = await conn.fetchval(HAS_FILE, tenant, file_id)
    return found


class Unread(Struct, frozen=True, kw_only=True):
    """What a pipe has not read of a dataset."""

    lines: int
    since: datetime | None


SELECT_UNREAD = """
SELECT coalesce(sum(f.lines), 0)::bigint AS lines, min(s.created_at) AS since
FROM dataset_files AS f
LEFT JOIN dataset_snapshots AS s
       ON s.tenant_id = f.tenant_id AND s.dataset_id = f.dataset_id AND s.number = f.added_in
WHERE f.tenant_id = $1 AND f.dataset_id = $2 AND (f.added_in, f.position) >= ($3, $4)
"""


async def select_unread(
    conn: Connection, tenant: UUID, dataset_id: UUID, *, snapshot: int, place: int
) -> Unread:
    """Count the lines of the files from a place on."""
    row = await conn.fetchrow(SELECT_UNREAD, tenant, dataset_id, snapshot, place)
    assert row is not None  # noqa: S101 - a sum has a row
    return from_row(Unread, row)


# In the transaction that holds the pipe's row.
NOTE_POSITION = """
UPDATE pipes
SET position = $4::text::jsonb
WHERE tenant_id = $1 AND id = $2 AND source_revision = $3
"""


async def note_position(
    conn: Connection, tenant: UUID, pipe_id: UUID, *, source_revision: int, position: bytes
) -> None:
    """Note how far a pipe has read, unless it has another source by now."""
    await conn.execute(NOTE_POSITION, tenant, pipe_id, source_revision, position.decode())


INSERT_UPLOAD = """
INSERT INTO dataset_uploads (id, tenant_id, dataset_id, mode, expires_at)
VALUES ($1, $2, $3, $4, clock_timestamp())
"""

INSERT_FILE = """
INSERT INTO dataset_files (id, tenant_id, dataset_id, upload_id, path)
VALUES ($1, $2, $3, $4, $5)
"""

# Read by migrations/sql/count_dataset_bytes_v2.sql: the bytes count as stored, and not as arrived.
NOT_RECEIVED = "SELECT set_config('crivo.publishes_run', 'on', true)"


class WrittenPart(Struct, frozen=True, kw_only=True):
    """A part in the blob store that no row names yet."""

    part: StoredPart
    keys: PartKeys


async def publish_file(
    conn: Connection,
    tenant: UUID,
    dataset_id: UUID,
    path: str,
    parts: Sequence[WrittenPart],
) -> int | None:
    """Publish a new file as the next snapshot; return its number, None: the dataset is gone.

    Raises QuotaExceeded, and InvalidRequest if the path is a folder of the dataset.
    """
    dataset = await store.lock_dataset(conn, tenant, dataset_id)
    if dataset is None:
        return None
    stored_bytes = upload_store.counted_bytes(each.part for each in parts)
    await upload_store.require_stored_bytes(conn, tenant, stored_bytes)
    upload_id, file_id = uuid.uuid7(), uuid.uuid7()
    await conn.execute(INSERT_UPLOAD, upload_id, tenant, dataset_id, Mode.APPEND)
    await conn.execute(INSERT_FILE, file_id, tenant, dataset_id, upload_id, path)
    await conn.execute(NOT_RECEIVED)
    for number, each in enumerate(parts, start=1):
        await upload_store.insert_part(
            conn, tenant, file_id, number=number, part=each.part, keys=each.keys
        )
    published = await commit_store.publish_parts(
        conn, tenant, upload_id, [file_id], first_sequence=dataset.next_sequence
    )
    held = HeldFile(id=file_id, path=path, parts=0, last_part=0, whole=True, digest="")
    number = dataset.last_snapshot + 1
    await commit_store.publish_files(
        conn, tenant, dataset_id, upload_id, [held], mode=Mode.APPEND, snapshot=number
    )
    await require_no_folders(conn, tenant, dataset_id, [path])
    snapshot = await commit_store.insert_snapshot(
        conn,
        tenant,
        dataset,
        upload_id,
        mode=Mode.APPEND,
        published=published,
        hours=_HOURS,
    )
    return snapshot.number
