"""Give the files of an export their names, and make them its result."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from app.db import Connection, from_row
from app.exports.task_store import ClaimedTask, LeaseLost
from app.limits import EXPORT_STATEMENT_SECONDS
from app.sql_parameters import in_order


class StagedFile(Struct, frozen=True, kw_only=True):
    """A file of an attempt that counts, as its task has named it."""

    lease_token: int
    number: int
    stage: str
    name: str
    partition: bytes
    blob_key: str | None
    rows: int
    size_bytes: int
    sha256: bytes


class NamedFile(Struct, frozen=True, kw_only=True):
    """A file with its path below the destination."""

    path: str
    file: StagedFile


# A claim leaves exports to one destination in the order of their ids; one that was accepted after
# another, by an API whose clock is behind, could not be seen by the claim of that one.
SELECT_HAS_TURN = """
SELECT NOT EXISTS (
    SELECT
    FROM exports AS e
    JOIN export_tasks AS t ON t.tenant_id = e.tenant_id AND t.export_id = e.id
    WHERE e.tenant_id = $1 AND e.destination = $3 AND e.id <> $2 AND e.finished_at IS NULL
      AND t.stage = 'publish' AND t.lease_expires_at >= clock_timestamp()
)
"""


async def has_turn(conn: Connection, task: ClaimedTask) -> bool:
    """Return whether no other export is being published at the destination of a leased task."""
    key = (task.tenant_id, task.export_id, task.destination)
    found: bool = await conn.fetchval(SELECT_HAS_TURN, *key)
    return found


SELECT_HAS_BEGUN = """
SELECT publishing_at IS NOT NULL
FROM exports
WHERE tenant_id = $1 AND id = $2
"""


async def has_begun(conn: Connection, task: ClaimedTask) -> bool:
    """Return whether an attempt may have changed the destination of an export."""
    found: bool = await conn.fetchval(SELECT_HAS_BEGUN, task.tenant_id, task.export_id)
    return found


# From here on the export is not cancelled. The row is that which a cancellation locks. The
# destination has answered.
BEGIN_PUBLISHING = """
UPDATE exports AS e
SET publishing_at = coalesce(e.publishing_at, clock_timestamp())
FROM export_tasks AS t
WHERE e.tenant_id = $1 AND e.id = $2 AND e.finished_at IS NULL
  AND t.tenant_id = e.tenant_id AND t.export_id = e.id AND t.stage = 'publish'
  AND t.lease_token = $3
RETURNING true
"""

END_TROUBLE = """
UPDATE export_tasks
SET trouble = NULL, trouble_since = NULL
WHERE tenant_id = $1 AND export_id = $2 AND stage = 'publish' AND lease_token = $3
  AND trouble IS NOT NULL
"""


async def begin_publishing(conn: Connection, task: ClaimedTask) -> None:
    """Record that the destination of a leased task is about to be changed. Raises LeaseLost."""
    key = (task.tenant_id, task.export_id, task.lease_token)
    if await conn.fetchval(BEGIN_PUBLISHING, *key) is None:
        raise LeaseLost("its export has ended, or another worker has claimed it")
    await conn.execute(END_TROUBLE, *key)


SELECT_STAGED = """
SELECT f.lease_token, f.number, f.stage, f.name, f.partition, f.blob_key, f.rows,
       f.bytes AS size_bytes, f.sha256
FROM export_tasks AS t
JOIN export_files AS f ON f.tenant_id = t.tenant_id AND f.export_id = t.export_id
                      AND f.lease_token = t.done_token
WHERE t.tenant_id = $1 AND t.export_id = $2 AND t.stage IN ('whole', 'write')
  AND f.stage IN ('whole', 'write', 'base')
ORDER BY t.number, f.number
"""


async def select_staged(conn: Connection, task: ClaimedTask) -> list[StagedFile]:
    """List the files that an export is to publish, in the order of its tasks."""
    rows = await conn.fetch(
        SELECT_STAGED, task.tenant_id, task.export_id, timeout=EXPORT_STATEMENT_SECONDS
    )
    return [from_row(StagedFile, row) for row in rows]


PUBLISH_FILES = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS export_id,
           $3::bigint[] AS lease_tokens,
           $4::integer[] AS numbers,
           $5::text[] AS names
)
UPDATE export_files AS f
SET name = n.name, published = true
FROM parameters AS p, unnest(p.lease_tokens, p.numbers, p.names) AS n (lease_token, number, name)
WHERE f.tenant_id = p.tenant_id AND f.export_id = p.export_id
  AND f.lease_token = n.lease_token AND f.number = n.number
"""

# Rows anew, as those that are deleted and added count for the quota of stored bytes.
FORGET_BLOBS = """
WITH moved AS (
    DELETE FROM export_files
    WHERE tenant_id = $1 AND export_id = $2 AND published AND blob_key IS NOT NULL
    RETURNING *
)
INSERT INTO export_files
       (export_id, lease_token, number, tenant_id, stage, bucket, partition, name, blob_key, rows,
        bytes, sha256, published)
SELECT export_id, lease_token, number, tenant_id, stage, bucket, partition, name, NULL, rows, bytes,
       sha256, published
FROM moved
"""

# What other exports had there is deleted: none can be read or continued as if it were there. A
# scalar subquery is answered for each of the few exports; EXISTS would be a join of all files.
FORGET_REPLACED = """
UPDATE exports AS e
SET files_deleted_at = clock_timestamp()
WHERE e.tenant_id = $1 AND e.destination = $3 AND e.id <> $2 AND e.status = 'succeeded'
  AND e.files_deleted_at IS NULL
  AND (
      SELECT true
      FROM export_files AS f
      WHERE f.tenant_id = e.tenant_id AND f.export_id = e.id
        AND NOT EXISTS (
            SELECT
            FROM export_files AS kept
            WHERE kept.tenant_id = $1 AND kept.export_id = $2 AND kept.published
              AND kept.name = f.name
        )
      LIMIT 1
  )
RETURNING e.id
"""

# A statement of its own: the exports are locked before their files.
DELETE_REPLACED = """
DELETE FROM export_files
WHERE tenant_id = $1 AND export_id = ANY ($2)
"""

COUNT_OUTPUT = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS export_id,
           $3::bigint AS rows_out,
           $4::integer AS files,
           $5::bigint AS bytes,
           $6::integer AS partitions,
           $7::bytea AS output_sha256,
           $8::bigint[] AS level_nulls
)
UPDATE exports AS e
SET rows_out = p.rows_out, files = p.files, bytes = p.bytes, partitions = p.partitions,
    output_sha256 = p.output_sha256, level_nulls = p.level_nulls, tasks_done = e.tasks_done + 1
FROM parameters AS p
WHERE e.tenant_id = p.tenant_id AND e.id = p.export_id
"""


async def publish_files(
    conn: Connection, task: ClaimedTask, files: Sequence[NamedFile], *, output_sha256: bytes
) -> None:
    """Make files the result of an export, in the transaction that ends it.

    The bytes of those at a destination are no longer here.
    """
    values = in_order(
        PUBLISH_FILES,
        tenant_id=task.tenant_id,
        export_id=task.export_id,
        lease_tokens=[each.file.lease_token for each in files],
        numbers=[each.file.number for each in files],
        names=[each.path for each in files],
    )
    await conn.execute(PUBLISH_FILES, *values, timeout=EXPORT_STATEMENT_SECONDS)
    if task.destination is not None:
        # Exports are locked before the quota of the tenant, in which files count.
        await _forget_replaced(conn, task)
        key = (task.tenant_id, task.export_id)
        await conn.execute(FORGET_BLOBS, *key, timeout=EXPORT_STATEMENT_SECONDS)
    counts = in_order(
        COUNT_OUTPUT,
        tenant_id=task.tenant_id,
        export_id=task.export_id,
        rows_out=sum(each.file.rows for each in files),
        files=len(files),
        bytes=sum(each.file.size_bytes for each in files),
        partitions=len({each.file.partition for each in files}),
        output_sha256=output_sha256,
        level_nulls=await asyncio.to_thread(_level_nulls, files),
    )
    await conn.execute(COUNT_OUTPUT, *counts)


def _level_nulls(files: Sequence[NamedFile]) -> list[int]:
    """Count the rows in the default partition of each level of the folders."""
    rows = Counter[bytes]()
    for each in files:
        rows[each.file.partition] += each.file.rows
    decoder = msgspec.json.Decoder(list[str | None])
    nulls: list[int] = []
    for partition, count in rows.items():
        values = decoder.decode(partition)
        nulls = nulls or [0] * len(values)
        for level, value in enumerate(values):
            nulls[level] += 0 if value else count
    return nulls


async def _forget_replaced(conn: Connection, task: ClaimedTask) -> None:
    replaced = await conn.fetch(
        FORGET_REPLACED,
        task.tenant_id,
        task.export_id,
        task.destination,
        timeout=EXPORT_STATEMENT_SECONDS,
    )
    ids = [row["id"] for row in replaced]
    await conn.execute(DELETE_REPLACED, task.tenant_id, ids, timeout=EXPORT_STATEMENT_SECONDS)
