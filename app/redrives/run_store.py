"""Find the failed records of a run, mark them for a re-drive, and mark those that were moved."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from app.datasets.parts import Format as DatasetFormat
from app.db import Connection, from_row
from app.limits import MIB, Limits
from app.redrives.store import IS_OPEN
from app.runs.error_store import StoredLine, stored_line
from app.runs.model import Emit, RunStatus
from app.sandbox.outcomes import Io, ScriptKind
from app.sandbox.parts import Format
from app.schemas.pinned import SchemaKey, key_of

MAX_RECORDS: Final = 1_000
# Of one batch, which is in memory.
MAX_BYTES: Final = 8 * MIB


class SourceRun(Struct, frozen=True, kw_only=True):
    """A run whose failed records are tried again; without an output the dataset is None.

    `weight` is that of the tenant.
    """

    id: UUID
    status: RunStatus
    script_id: UUID
    version: int
    format: Format
    each: str | None
    emit: Emit
    publishes: bool
    params: bytes | None
    labels: dict[str, str]
    seed: int
    clock_ms: int
    limits: Limits
    output_dataset_id: UUID | None
    output_dataset: str | None
    output_format: DatasetFormat | None
    output_key: str | None
    hash_seed: int | None
    record_schema: SchemaKey | None
    weight: int


SELECT_RUN = """
SELECT r.id, r.status, r.script_id, r.version, r.format, r.each, r.emit, r.publishes, r.params,
       r.labels, r.seed, r.clock_ms, r.wall_ms, r.max_cpu_ms, r.memory_bytes, r.max_output_bytes,
       r.output_dataset_id, r.output_dataset, d.format AS output_format, d.key AS output_key,
       d.hash_seed, d.record_schema_id, d.record_schema_version, t.weight
FROM runs AS r
JOIN tenants AS t ON t.id = r.tenant_id
LEFT JOIN datasets AS d ON d.tenant_id = r.tenant_id AND d.id = r.output_dataset_id
WHERE r.tenant_id = $1 AND r.id = $2
"""


async def select_run(conn: Connection, tenant: UUID, run_id: UUID) -> SourceRun | None:
    """Find a run with the dataset of its output."""
    row = await conn.fetchrow(SELECT_RUN, tenant, run_id)
    if row is None:
        return None
    members: dict[str, Any] = {
        **row,
        "limits": from_row(Limits, row),
        "record_schema": key_of(row, "record"),
    }
    return from_row(SourceRun, members)


class RunnableVersion(Struct, frozen=True, kw_only=True):
    """A version of a script with its source, and what it can be run as."""

    script_id: UUID
    name: str
    version: int
    source: bytes
    kinds: Sequence[ScriptKind]
    io: Io
    input_schema: SchemaKey | None
    output_schema: SchemaKey | None


SELECT_VERSION = """
SELECT s.id AS script_id, s.name, v.version, v.source, v.kinds, v.io,
       v.input_schema_id, v.input_schema_version, v.output_schema_id, v.output_schema_version
FROM script_versions AS v
JOIN scripts AS s ON s.tenant_id = v.tenant_id AND s.id = v.script_id
WHERE v.tenant_id = $1 AND v.script_id = $2 AND v.version = $3
"""


async def select_version(
    conn: Connection, tenant: UUID, script_id: UUID, version: int
) -> RunnableVersion:
    """Read a version, which exists: none is ever deleted."""
    row = await conn.fetchrow(SELECT_VERSION, tenant, script_id, version)
    assert row is not None  # noqa: S101 - versions are never deleted
    schemas = {f"{side}_schema": key_of(row, side) for side in ("input", "output")}
    return from_row(RunnableVersion, {**row, **schemas})


class FailedRecord(Struct, frozen=True, kw_only=True):
    """A failed record: its row, its place, and what is kept of its line, or where else it is."""

    execution_id: UUID
    lease_token: int
    number: int
    path: str | None
    line: int
    record: bytes | None
    stored: StoredLine | None


# Of parts whose outcome is recorded, as GET /runs/{run}/errors lists them. A kind is the first
# member of the document.
_FREE = f"""
FROM run_parts AS p
JOIN run_errors AS x
  ON x.tenant_id = p.tenant_id AND x.execution_id = p.execution_id
 AND x.lease_token = p.lease_token
WHERE p.tenant_id = $1 AND p.run_id = $2 AND p.level = 0 AND p.task = 'map'
  AND x.moved_at IS NULL
  AND ($3::bytea IS NULL OR substring(x.error FOR octet_length($3)) = $3)
  AND NOT EXISTS (
      SELECT FROM redrives AS o
      WHERE o.tenant_id = x.tenant_id AND o.id = x.redrive_id AND x.retried_at IS NULL
        AND {IS_OPEN}
  )
"""

COUNT_FREE = "SELECT count(*)" + _FREE

MARK_RECORDS = f"""
WITH free AS (
    SELECT x.execution_id, x.lease_token, x.number
    {_FREE}
    ORDER BY x.execution_id, x.lease_token, x.number
    FOR NO KEY UPDATE OF x
)
UPDATE run_errors AS x
SET redrive_id = $4, retried_at = NULL
FROM free
WHERE x.tenant_id = $1 AND x.execution_id = free.execution_id
  AND x.lease_token = free.lease_token AND x.number = free.number
"""  # noqa: S608 - put together from constants


async def count_free(conn: Connection, tenant: UUID, run_id: UUID, *, kind: str | None) -> int:
    """Count the failed records that can be tried again."""
    found: int = await conn.fetchval(COUNT_FREE, tenant, run_id, _prefix(kind))
    return found


async def mark_records(
    conn: Connection, tenant: UUID, run_id: UUID, redrive_id: UUID, *, kind: str | None
) -> int:
    """Mark them as those of a re-drive, under `lock_redrives`; return their number."""
    status = await conn.execute(MARK_RECORDS, tenant, run_id, _prefix(kind), redrive_id)
    return int(status.rpartition(" ")[2])


_PLACED = """
SELECT n.*, q.blob_key, q.raw_bytes, q.stored_bytes, q.first_line
FROM (
    SELECT m.*,
           sum(coalesce(octet_length(m.record), 0)) OVER (ORDER BY m.part, m.number) AS total
    FROM matching AS m
) AS n
LEFT JOIN LATERAL (
    SELECT d.blob_key, d.raw_bytes, d.stored_bytes, d.first_line
    FROM dataset_parts AS d
    WHERE d.tenant_id = $1 AND d.file_id = n.file_id
      AND d.number BETWEEN n.first_part AND n.last_part AND d.first_line < n.line
    ORDER BY d.number DESC
    LIMIT 1
) AS q ON true
"""

_COLUMNS = """
SELECT x.execution_id, x.lease_token, x.number, x.line, x.record, p.number AS part, p.file_id,
       p.first_part, p.last_part, f.path
"""

SELECT_MARKED = f"""
WITH matching AS (
    {_COLUMNS}
    FROM run_errors AS x
    JOIN run_parts AS p
      ON p.tenant_id = x.tenant_id AND p.execution_id = x.execution_id
     AND p.lease_token = x.lease_token
    LEFT JOIN dataset_files AS f ON f.tenant_id = p.tenant_id AND f.id = p.file_id
    WHERE x.tenant_id = $1 AND x.redrive_id = $2 AND x.retried_at IS NULL
    ORDER BY p.number, x.number
    LIMIT $3
)
{_PLACED}
WHERE n.total - coalesce(octet_length(n.record), 0) < $4
ORDER BY n.part, n.number
"""


async def select_marked(
    conn: Connection, tenant: UUID, redrive_id: UUID, *, limit: int
) -> list[FailedRecord]:
    """Return the next records of a re-drive, in the order of the input, at most MAX_BYTES."""
    rows = await conn.fetch(SELECT_MARKED, tenant, redrive_id, limit, MAX_BYTES)
    return [_failed(dict(row)) for row in rows]


SELECT_FREE = f"""
WITH free AS (
    SELECT x.execution_id, x.lease_token, x.number
    {_FREE}
    ORDER BY p.number, x.number
    LIMIT $4
),
matching AS (
    {_COLUMNS}
    FROM free
    JOIN run_errors AS x
      ON x.tenant_id = $1 AND x.execution_id = free.execution_id
     AND x.lease_token = free.lease_token AND x.number = free.number
    JOIN run_parts AS p ON p.tenant_id = x.tenant_id AND p.execution_id = x.execution_id
    LEFT JOIN dataset_files AS f ON f.tenant_id = p.tenant_id AND f.id = p.file_id
)
{_PLACED}
ORDER BY n.part, n.number
"""  # noqa: S608 - put together from constants


async def select_free(
    conn: Connection, tenant: UUID, run_id: UUID, *, kind: str | None, limit: int
) -> list[FailedRecord]:
    """Return the first records that can be tried again, in the order of the input."""
    rows = await conn.fetch(SELECT_FREE, tenant, run_id, _prefix(kind), limit)
    return [_failed(dict(row)) for row in rows]


# In the order of their keys: two cannot wait for each other.
LOCK_UNTRIED = """
SELECT x.execution_id
FROM unnest($3::uuid[], $4::bigint[], $5::integer[]) AS t (execution_id, lease_token, number)
JOIN run_errors AS x
  ON x.execution_id = t.execution_id AND x.lease_token = t.lease_token AND x.number = t.number
WHERE x.tenant_id = $1 AND x.redrive_id = $2 AND x.retried_at IS NULL
ORDER BY x.execution_id, x.lease_token, x.number
FOR NO KEY UPDATE OF x
"""

MARK_TRIED = """
UPDATE run_errors AS x
SET retried_at = clock_timestamp(), moved_at = CASE WHEN t.moved THEN clock_timestamp() END
FROM unnest($3::uuid[], $4::bigint[], $5::integer[], $6::boolean[])
     AS t (execution_id, lease_token, number, moved)
WHERE x.tenant_id = $1 AND x.redrive_id = $2 AND x.retried_at IS NULL
  AND x.execution_id = t.execution_id AND x.lease_token = t.lease_token AND x.number = t.number
"""


async def mark_tried(
    conn: Connection,
    tenant: UUID,
    redrive_id: UUID,
    tried: Sequence[tuple[FailedRecord, bool]],
) -> int:
    """Mark records as tried, each with whether it was moved; return how many still could be."""
    keys = (
        [each.execution_id for each, _ in tried],
        [each.lease_token for each, _ in tried],
        [each.number for each, _ in tried],
    )
    await conn.execute(LOCK_UNTRIED, tenant, redrive_id, *keys)
    moved = [moved for _, moved in tried]
    status = await conn.execute(MARK_TRIED, tenant, redrive_id, *keys, moved)
    return int(status.rpartition(" ")[2])


def _prefix(kind: str | None) -> bytes | None:
    """Return how the error documents of a kind begin (app/execution_errors.py)."""
    return None if kind is None else f'{{"kind": "{kind}",'.encode()


def _failed(row: Mapping[str, Any]) -> FailedRecord:
    return FailedRecord(
        execution_id=row["execution_id"],
        lease_token=row["lease_token"],
        number=row["number"],
        path=row["path"],
        line=row["line"],
        record=row["record"],
        stored=stored_line(row),
    )
