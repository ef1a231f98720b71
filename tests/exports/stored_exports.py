"""Exports that have ended, written to the database and the blob store as workers do."""

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
import uuid_utils.compat as uuid
from msgspec import Struct

from app.db import Connection
from app.exports.plan.model import JSON_TEXT, Column, Grain, PartitionColumn, Plan
from app.schemas.ddl.types import Kind, Scalar
from app.tenants.model import DEFAULT_TENANT
from tests.support.system import System

PLAN: Final = Plan(
    key=["/event_id"],
    latest_by="/timestamp",
    partition_by=[
        PartitionColumn(name="year", grain=Grain.YEAR, pointer="/timestamp"),
        PartitionColumn(name="month", grain=Grain.MONTH, pointer="/timestamp"),
        PartitionColumn(name="type", grain=Grain.VALUE, pointer="/event_type"),
    ],
)
COLUMNS: Final = (
    Column(name="event_id", type=Scalar(Kind.STRING), source="schema"),
    Column(name="timestamp", type=Scalar(Kind.TIMESTAMP), source="request"),
    Column(name="data", type=JSON_TEXT, source="inferred"),
)

# Of a tenant by its name, with a file `a` whose blob has the export's id.
INSERT_EXPORT: Final = """
WITH export AS (
    INSERT INTO exports
           (id, tenant_id, dataset_id, dataset, snapshot, request, plan, plan_sha256, input_sha256,
            output_sha256, status, stage, raw_bytes, rows_in, rows_out, files, bytes, partitions,
            columns, created_at, started_at, finished_at)
    SELECT $1, id, $1, 'hidden', 1, '{"dataset":"hidden@1"}', '{}', sha256(''), sha256(''),
           sha256(''), 'succeeded', 'publish', 10, 1, 1, 1, 4, 1,
           '[{"name":"pk","type":{"type":"scalar","kind":"string"},"source":"inferred"}]',
           now(), now(), now()
    FROM tenants WHERE name = $2
    RETURNING id, tenant_id
)
INSERT INTO export_files
       (export_id, lease_token, number, tenant_id, stage, partition, name, blob_key, rows, bytes,
        sha256, published)
SELECT id, 1, 1, tenant_id, 'whole', '[]', 'a', tenant_id || '/exports/' || id, 1, 4,
       sha256('PAR1'), true
FROM export
"""

# One that has not ended, whose task is not due.
INSERT_RUNNING: Final = """
WITH export AS (
    INSERT INTO exports
           (id, tenant_id, dataset_id, dataset, snapshot, request, plan, plan_sha256, input_sha256,
            status, stage, tasks, raw_bytes, created_at)
    SELECT $1, id, $1, 'hidden', 1, '{"dataset":"hidden@1"}', '{}', sha256(''), sha256(''),
           'running', 'whole', 1, 10, now()
    FROM tenants WHERE name = $2
    RETURNING id, tenant_id
)
INSERT INTO export_tasks (export_id, stage, number, tenant_id, due_at)
SELECT id, 'whole', 1, tenant_id, 'infinity'
FROM export
"""
_INSERT: Final = """
INSERT INTO exports
       (id, tenant_id, dataset_id, dataset, snapshot, request, plan, plan_sha256, destination,
        callback_url, input_sha256, status, stage, tasks, tasks_done, raw_bytes, raw_bytes_done,
        rows_in, duplicates, rows_failed, rows_out, files, bytes, columns, partitions, created_at,
        started_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, sha256('in'), 'running', 'whole', 1, 1, 1000, 1000,
        10, 3, 2, $15, $11, $12, $13, $14, now(), now())
"""
# By an update, as an end is: it adds the callback.
_END: Final = """
UPDATE exports
SET status = $2, output_sha256 = sha256('out'), finished_at = now(),
    error = CASE WHEN $2 = 'failed' THEN '{"kind":"bad_row","message":"bad"}'::bytea END
WHERE id = $1
"""
# Workers claim none that is not due.
_INSERT_TASK: Final = """
INSERT INTO export_tasks
       (export_id, stage, number, tenant_id, attempts, due_at, done_token, finished_at)
VALUES ($1, 'whole', $2, $3, 1, 'infinity', $4, CASE WHEN $4::bigint IS NOT NULL THEN now() END)
"""
_INSERT_FILE: Final = """
INSERT INTO export_files
       (export_id, lease_token, number, tenant_id, stage, partition, name, blob_key, rows, bytes,
        sha256, published)
VALUES ($1, 7, $2, $3, 'whole', $4, $5, $6, 3, $7, $8, $9)
"""
_INSERT_ERROR: Final = """
INSERT INTO export_errors (export_id, lease_token, number, tenant_id, path, line, error, record)
VALUES ($1, $2, $3, $4, 'a.jsonl', $5, $6, $7)
"""


class StoredFile(Struct, frozen=True, kw_only=True):
    """A file of an export; `content` None: its bytes are only at the destination."""

    name: str
    partition: Sequence[str | None] = ()
    content: bytes | None = b"PAR1"
    published: bool = True


class StoredError(Struct, frozen=True, kw_only=True):
    """A bad row; `token` is that of the attempt, 7 of the one that counts."""

    line: int
    record: bytes = b"{}"
    token: int = 7


class StoredExport(Struct, frozen=True, kw_only=True):
    """An export of the default tenant, which no worker runs."""

    id: UUID
    status: str = "succeeded"
    dataset_id: UUID | None = None
    dataset: str = "events"
    snapshot: int = 4
    files: Sequence[StoredFile] = ()
    errors: Sequence[StoredError] = ()
    plan: Plan = PLAN
    plan_sha256: bytes = bytes(32)
    columns: Sequence[Column] = COLUMNS
    destination: str | None = None
    callback_url: str | None = None


def put_blob(folder: Path, key: str, content: bytes) -> Path:
    """Store a blob as the service does."""
    path = folder / "blobs" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def store(system: System, *exports: StoredExport) -> None:
    """Store exports with their tasks, files and bad rows."""

    async def insert_all() -> None:
        conn = await asyncpg.connect(system.environ["DATABASE_URL"])
        try:
            for export in exports:
                async with conn.transaction():
                    await insert(system, conn, export)
        finally:
            await conn.close()

    asyncio.run(insert_all())


def stored(system: System, **what: Any) -> str:  # noqa: ANN401 - members of StoredExport
    """Store an export; return its address."""
    export = StoredExport(id=uuid.uuid7(), **what)
    store(system, export)
    return f"/exports/{export.id}"


def execute(system: System, statement: str, *values: object) -> None:
    """Run a statement on the database of a system."""

    async def run() -> None:
        conn = await asyncpg.connect(system.environ["DATABASE_URL"])
        try:
            await conn.execute(statement, *values)
        finally:
            await conn.close()

    asyncio.run(run())


async def insert(system: System, conn: Connection, export: StoredExport) -> None:
    """Store an export in a transaction of the caller's."""
    published = [each for each in export.files if each.published]
    await conn.execute(
        _INSERT,
        export.id,
        DEFAULT_TENANT,
        export.dataset_id or export.id,
        export.dataset,
        export.snapshot,
        b'{"dataset":"events@4"}',
        msgspec.json.encode(export.plan),
        export.plan_sha256,
        export.destination,
        export.callback_url,
        len(published),
        sum(len(each.content or b"") for each in published),
        msgspec.json.encode(export.columns),
        len({tuple(each.partition) for each in published}),
        3 * len(published),
    )
    is_running = export.status == "running"
    await conn.execute(_INSERT_TASK, export.id, 1, DEFAULT_TENANT, None if is_running else 7)
    for number, file in enumerate(export.files, start=1):
        key = f"{DEFAULT_TENANT}/exports/{export.id}-{number}"
        if file.content is not None:
            put_blob(system.folder, key, file.content)
        content = file.content or b""
        await conn.execute(
            _INSERT_FILE,
            export.id,
            number,
            DEFAULT_TENANT,
            msgspec.json.encode(file.partition),
            file.name,
            None if file.content is None else key,
            len(content),
            hashlib.sha256(content).digest(),
            file.published,
        )
    for number, error in enumerate(export.errors, start=1):
        told = {"kind": "bad_timestamp", "message": "is no moment", "pointer": "/timestamp"}
        await conn.execute(
            _INSERT_ERROR,
            export.id,
            error.token,
            number,
            DEFAULT_TENANT,
            error.line,
            msgspec.json.encode(told),
            error.record,
        )
    if not is_running:
        await conn.execute(_END, export.id, export.status)
