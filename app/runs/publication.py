"""Publish what the parts of a run have written as the next snapshot of a dataset."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import uuid_utils.compat as uuid
from msgspec import Struct

from app.datasets import commit_store, store
from app.datasets.commit_store import HeldFile
from app.datasets.model import Mode
from app.datasets.publishing import require_no_folders
from app.datasets.store import LockedDataset
from app.db import Connection, from_row
from app.errors import CrivoError
from app.runs.advance_store import ActiveRun

# The upload that the files are of can be forgotten at once: no client knows it.
_HOURS: Final = 0
# A statement about all parts of a large run takes seconds.
ALL_PARTS_SECONDS: Final = 300.0


class OutputGone(CrivoError):
    """The dataset that a run was to publish has been deleted."""


KEEP_INPUT = """
SELECT id
FROM datasets
WHERE tenant_id = $1 AND id = $2
FOR KEY SHARE
"""


async def keep_input(conn: Connection, run: ActiveRun) -> bool:
    """Keep the dataset of the input until the transaction ends; False: it has been deleted."""
    return await conn.fetchval(KEEP_INPUT, run.tenant_id, run.dataset_id) is not None


class _InputFile(Struct, frozen=True, kw_only=True):
    id: UUID
    path: str


# A file of the output for each of the input, in the same order.
SELECT_INPUT_FILES = """
SELECT f.id, f.path
FROM (
    SELECT file_id, min(number) AS first
    FROM run_parts
    WHERE tenant_id = $1 AND run_id = $2 AND task = 'map'
    GROUP BY file_id
) AS p
JOIN dataset_files AS f ON f.tenant_id = $1 AND f.id = p.file_id
ORDER BY p.first
"""

# As `runs.input_sha256` is of the input: of paths, and of digests that are those of the parts.
SELECT_OUTPUT_SHA256 = """
WITH files AS (
    SELECT f.path, min(p.number) AS first,
           sha256(string_agg(o.sha256, ''::bytea ORDER BY p.number, o.number)) AS digest
    FROM run_parts AS p
    JOIN run_outputs AS o ON o.tenant_id = p.tenant_id AND o.execution_id = p.execution_id
                         AND o.lease_token = p.lease_token
    JOIN dataset_files AS f ON f.tenant_id = p.tenant_id AND f.id = p.file_id
    WHERE p.tenant_id = $1 AND p.run_id = $2 AND p.task = 'map'
    GROUP BY f.id
)
SELECT sha256(string_agg(convert_to(path, 'UTF8') || '\\x00'::bytea || digest,
                         ''::bytea ORDER BY first))
FROM files
"""


async def output_sha256(conn: Connection, run: ActiveRun) -> bytes | None:
    """Return the SHA-256 of the paths and digests of what a run has written."""
    digest: bytes | None = await conn.fetchval(
        SELECT_OUTPUT_SHA256, run.tenant_id, run.id, timeout=ALL_PARTS_SECONDS
    )
    return digest


INSERT_UPLOAD = """
INSERT INTO dataset_uploads (id, tenant_id, dataset_id, mode, expires_at)
VALUES ($1, $2, $3, $4, clock_timestamp())
"""

INSERT_FILES = """
INSERT INTO dataset_files (id, tenant_id, dataset_id, upload_id, path)
SELECT f.id, $1, $2, $3, f.path
FROM unnest($4::uuid[], $5::text[]) AS f (id, path)
"""

# Read by migrations/sql/count_dataset_bytes_v2.sql.
PUBLISH_RUN = "SELECT set_config('crivo.publishes_run', 'on', true)"

MOVE_PARTS = """
WITH moved AS (
    DELETE FROM run_outputs AS o
    USING run_parts AS p
    WHERE p.tenant_id = $1 AND p.run_id = $2 AND p.task = 'map'
      AND o.tenant_id = p.tenant_id AND o.execution_id = p.execution_id
      AND o.lease_token = p.lease_token
    RETURNING p.file_id, p.number AS part, o.*
)
INSERT INTO dataset_parts
       (file_id, number, tenant_id, sha256, raw_bytes, stored_bytes, index_bytes, lines, records,
        missing_keys, duplicates, ends_line, blob_key, index_key)
SELECT f.id, row_number() OVER (PARTITION BY f.id ORDER BY m.part, m.number), $1, m.sha256,
       m.raw_bytes, m.stored_bytes, m.index_bytes, m.lines, m.records, m.missing_keys,
       m.duplicates, m.ends_line, m.blob_key, m.index_key
FROM unnest($3::uuid[], $4::uuid[]) AS f (input_id, id)
JOIN moved AS m ON m.file_id = f.input_id
"""


async def publish(conn: Connection, run: ActiveRun) -> int:
    """Publish the output of a run, whose parts have all ended; return the snapshot's number.

    In the transaction that ends the run. Raises OutputGone, and InvalidRequest if a file and a
    folder of the dataset would have one path.
    """
    assert run.output_dataset_id is not None  # noqa: S101 - it has an output
    assert run.output_mode is not None  # noqa: S101 - it has an output
    tenant = run.tenant_id
    dataset = await store.lock_dataset(conn, tenant, run.output_dataset_id)
    if dataset is None:
        message = "the dataset of the output has been deleted"
        raise OutputGone(message)
    inputs = [
        from_row(_InputFile, row) for row in await conn.fetch(SELECT_INPUT_FILES, tenant, run.id)
    ]
    paths = [each.path for each in inputs]
    upload_id, ids = await begin_upload(conn, tenant, dataset, paths, mode=run.output_mode)
    await conn.execute(
        MOVE_PARTS,
        tenant,
        run.id,
        [each.id for each in inputs],
        ids,
        timeout=ALL_PARTS_SECONDS,
    )
    return await publish_upload(
        conn, tenant, dataset, upload_id, dict(zip(ids, paths, strict=True)), mode=run.output_mode
    )


async def begin_upload(
    conn: Connection, tenant: UUID, dataset: LockedDataset, paths: Sequence[str], *, mode: Mode
) -> tuple[UUID, list[UUID]]:
    """Add an upload with files, whose parts are inserted next; return its id and theirs.

    What is inserted until the transaction ends counts as stored, and did not arrive today.
    """
    upload_id = uuid.uuid7()
    await conn.execute(INSERT_UPLOAD, upload_id, tenant, dataset.id, mode)
    ids = [uuid.uuid7() for _ in paths]
    await conn.execute(INSERT_FILES, tenant, dataset.id, upload_id, ids, paths)
    await conn.execute(PUBLISH_RUN)
    return upload_id, ids


async def publish_upload(
    conn: Connection,
    tenant: UUID,
    dataset: LockedDataset,
    upload_id: UUID,
    paths: Mapping[UUID, str],
    *,
    mode: Mode,
) -> int:
    """Publish what `begin_upload` has begun, its files in order; return the snapshot's number.

    Raises InvalidRequest if a file and a folder of the dataset would have one path.
    """
    published = await commit_store.publish_parts(
        conn,
        tenant,
        upload_id,
        list(paths),
        first_sequence=dataset.next_sequence,
        timeout_seconds=ALL_PARTS_SECONDS,
    )
    await commit_store.publish_files(
        conn,
        tenant,
        dataset.id,
        upload_id,
        _held(paths),
        mode=mode,
        snapshot=dataset.last_snapshot + 1,
        timeout_seconds=ALL_PARTS_SECONDS,
    )
    await require_no_folders(conn, tenant, dataset.id, list(paths.values()))
    snapshot = await commit_store.insert_snapshot(
        conn, tenant, dataset, upload_id, mode=mode, published=published, hours=_HOURS
    )
    return snapshot.number


def _held(paths: Mapping[UUID, str]) -> list[HeldFile]:
    return [
        HeldFile(id=id_, path=path, parts=0, last_part=0, whole=True, digest="")
        for id_, path in paths.items()
    ]
