"""Store datasets and their snapshots."""

import secrets
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from app.datasets.model import Dataset, PutDataset, Snapshot
from app.datasets.parts import Format
from app.db import Connection, from_row, optional_from_row
from app.schemas.pinned import SchemaKey, columns_of, ref_column
from app.sql_parameters import in_order

# Of a positive bigint.
_SEED_BITS: Final = 63

INSERT_DATASET = """
INSERT INTO datasets
       (id, tenant_id, name, format, key, description, keep_snapshots, keep_days, hash_seed,
        record_schema_id, record_schema_version)
SELECT $1 AS id, $2 AS tenant_id, $3 AS name, $4 AS format, $5 AS key, $6 AS description,
       $7 AS keep_snapshots, $8 AS keep_days, $9 AS hash_seed, $10 AS record_schema_id,
       $11 AS record_schema_version
ON CONFLICT (tenant_id, name) DO NOTHING
RETURNING id
"""


async def insert_dataset(
    conn: Connection,
    tenant: UUID,
    dataset_id: UUID,
    name: str,
    wanted: PutDataset,
    *,
    record_schema: SchemaKey | None = None,
) -> bool:
    """Add a dataset, whose schema is resolved; return whether the name was free."""
    columns = {
        name: value for name, value in msgspec.structs.asdict(wanted).items() if name != "schema"
    }
    values = in_order(
        INSERT_DATASET,
        id=dataset_id,
        tenant_id=tenant,
        name=name,
        **columns,
        **columns_of(record_schema, "record"),
        hash_seed=secrets.randbits(_SEED_BITS),
    )
    return await conn.fetchval(INSERT_DATASET, *values) is not None


class LockedDataset(Struct, frozen=True, kw_only=True):
    """What changes to a dataset need, whose row is locked."""

    id: UUID
    name: str
    format: Format
    key: str | None
    last_snapshot: int
    next_sequence: int


# Weaker than the lock of a deletion: rows that reference the dataset can still be inserted.
LOCK_DATASET = """
SELECT id, name, format, key, last_snapshot, next_sequence
FROM datasets
WHERE tenant_id = $1 AND (id = $2 OR name = $3)
FOR NO KEY UPDATE
"""


async def lock_dataset(conn: Connection, tenant: UUID, dataset: UUID | str) -> LockedDataset | None:
    """Lock a dataset's row until the transaction ends, so that changes take turns."""
    by_id, by_name = (dataset, None) if isinstance(dataset, UUID) else (None, dataset)
    return optional_from_row(
        LockedDataset, await conn.fetchrow(LOCK_DATASET, tenant, by_id, by_name)
    )


UPDATE_DATASET = """
UPDATE datasets
SET description = $3, keep_snapshots = $4, keep_days = $5, updated_at = clock_timestamp()
WHERE tenant_id = $1 AND id = $2
"""


async def update_dataset(
    conn: Connection, tenant: UUID, dataset_id: UUID, wanted: PutDataset
) -> None:
    """Set what can change of a dataset."""
    await conn.execute(
        UPDATE_DATASET,
        tenant,
        dataset_id,
        wanted.description,
        wanted.keep_snapshots,
        wanted.keep_days,
    )


_DATASETS = f"""
SELECT d.id, d.name, d.format, d.key, {ref_column("d", "record")} AS schema, d.description,
       d.keep_snapshots, d.keep_days, d.created_at, d.updated_at, s.number, s.mode, s.files,
       s.raw_bytes, s.stored_bytes, s.lines, s.records,
       s.missing_keys, s.created_at AS snapshot_created_at
FROM datasets AS d
LEFT JOIN dataset_snapshots AS s
       ON s.tenant_id = d.tenant_id AND s.dataset_id = d.id AND s.number = d.last_snapshot
WHERE d.tenant_id = $1
"""  # noqa: S608 - put together from constants

SELECT_DATASET = _DATASETS + "AND d.name = $2"


async def select_dataset(conn: Connection, tenant: UUID, name: str) -> Dataset | None:
    """Find a dataset by its name."""
    row = await conn.fetchrow(SELECT_DATASET, tenant, name)
    return None if row is None else _dataset(row)


SELECT_DATASET_PAGE = _DATASETS + "AND d.id < $2 ORDER BY d.id DESC LIMIT $3"


async def select_dataset_page(
    conn: Connection, tenant: UUID, *, below: UUID, limit: int
) -> list[Dataset]:
    """List datasets, newest first."""
    return [_dataset(row) for row in await conn.fetch(SELECT_DATASET_PAGE, tenant, below, limit)]


_SNAPSHOTS = """
SELECT number, mode, files, raw_bytes, stored_bytes, lines, records, missing_keys, created_at
FROM dataset_snapshots
WHERE tenant_id = $1 AND dataset_id = $2
"""

SELECT_SNAPSHOT = _SNAPSHOTS + "AND number = $3"


async def select_snapshot(
    conn: Connection, tenant: UUID, dataset_id: UUID, number: int
) -> Snapshot | None:
    """Find a snapshot by its number."""
    return optional_from_row(
        Snapshot, await conn.fetchrow(SELECT_SNAPSHOT, tenant, dataset_id, number)
    )


SELECT_SNAPSHOT_PAGE = _SNAPSHOTS + "AND number < $3 ORDER BY number DESC LIMIT $4"


async def select_snapshot_page(
    conn: Connection, tenant: UUID, dataset_id: UUID, *, below: int, limit: int
) -> list[Snapshot]:
    """List snapshots, newest first."""
    rows = await conn.fetch(SELECT_SNAPSHOT_PAGE, tenant, dataset_id, below, limit)
    return [from_row(Snapshot, row) for row in rows]


class ResolvedSnapshot(Struct, frozen=True, kw_only=True):
    """The snapshot that a reference names; `number` is None where there is no such one.

    `revision` is that of the dataset, by which readers know whether what they hold is current.
    """

    dataset_id: UUID
    name: str
    format: Format
    key: str | None
    hash_seed: int
    revision: int
    number: int | None
    lines: int | None
    records: int | None


RESOLVE_SNAPSHOT = """
SELECT d.id AS dataset_id, d.name, d.format, d.key, d.hash_seed, d.revision, s.number, s.lines,
       s.records
FROM datasets AS d
LEFT JOIN dataset_snapshots AS s
       ON s.tenant_id = d.tenant_id AND s.dataset_id = d.id
      AND s.number = coalesce($3, d.last_snapshot)
WHERE d.tenant_id = $1 AND d.name = $2
"""


async def resolve_snapshot(
    conn: Connection, tenant: UUID, name: str, snapshot: int | None
) -> ResolvedSnapshot | None:
    """Resolve a reference; None where there is no such dataset."""
    return optional_from_row(
        ResolvedSnapshot, await conn.fetchrow(RESOLVE_SNAPSHOT, tenant, name, snapshot)
    )


def _dataset(row: asyncpg.Record) -> Dataset:
    latest = None
    if row["number"] is not None:
        members = {**row, "created_at": row["snapshot_created_at"]}
        latest = msgspec.convert(members, Snapshot)
    return msgspec.convert({**row, "latest_snapshot": latest}, Dataset)
