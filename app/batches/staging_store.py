"""Stage the inputs of uploads in an unlogged table, and drop those that are abandoned."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from app.db import Connection
from app.payloads.model import ExpiredBatch, StoredPayload
from app.sql_parameters import in_order


class StagedInput(Struct, frozen=True):
    """An input of an upload: its line, its bytes, and why it cannot run, if it cannot."""

    line: int
    payload: StoredPayload
    error: bytes | None = None


_COLUMNS: Final = (
    "upload_id", "line", "tenant_id", "sha256", "size_bytes", "body", "blob_key", "error",
)  # fmt: skip


async def stage_inputs(
    conn: Connection, tenant: UUID, upload: UUID, inputs: Sequence[StagedInput]
) -> None:
    """Store inputs until their upload is accepted or dropped."""
    await conn.copy_records_to_table(
        "batch_inputs",
        columns=_COLUMNS,
        records=[
            (
                upload,
                each.line,
                tenant,
                each.payload.sha256,
                each.payload.size_bytes,
                each.payload.body,
                each.payload.blob_key,
                each.error,
            )
            for each in inputs
        ],
    )


# The lock outlives erasure: whoever erases an input meanwhile waits, and then finds that the staged
# row references its blob too. Rows are locked in the order in which erasures lock them. What has no
# input any more, or has not finished, is left out.
STAGE_REPLAYS = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS upload_id,
           $3::uuid[] AS ids,
           $4::uuid AS script_id,
           $5::integer[] AS versions,
           $6::smallint AS priority
),
wanted AS MATERIALIZED (
    SELECT parameters.tenant_id, parameters.upload_id, parameters.script_id, parameters.priority,
           u.id, u.version, u.line
    FROM parameters,
         unnest(parameters.ids, parameters.versions) WITH ORDINALITY AS u (id, version, line)
),
replayed AS MATERIALIZED (
    SELECT w.line, w.upload_id, e.tenant_id, i.sha256, i.size_bytes, i.body, i.blob_key,
           i.media_type, coalesce(w.script_id, e.script_id) AS script_id,
           coalesce(w.version, e.version) AS version,
           e.wall_ms, e.max_cpu_ms, e.memory_bytes, e.max_output_bytes, e.seed, e.clock_ms,
           e.labels, coalesce(w.priority, e.priority) AS priority, e.id
    FROM wanted AS w
    JOIN executions AS e ON e.tenant_id = w.tenant_id AND e.id = w.id
    JOIN payloads AS i ON i.tenant_id = e.tenant_id AND i.execution_id = e.id AND i.kind = 'input'
    WHERE e.finished_at IS NOT NULL AND i.erased_at IS NULL
    ORDER BY i.execution_id
    FOR SHARE OF i
)
INSERT INTO batch_inputs
       (upload_id, line, tenant_id, sha256, size_bytes, body, blob_key, media_type, script_id,
        version, wall_ms, max_cpu_ms, memory_bytes, max_output_bytes, seed, clock_ms, labels,
        priority, params, replay_of)
SELECT r.upload_id, row_number() OVER (ORDER BY r.line), r.tenant_id, r.sha256, r.size_bytes,
       r.body, r.blob_key, r.media_type, r.script_id, r.version, r.wall_ms, r.max_cpu_ms,
       r.memory_bytes, r.max_output_bytes, r.seed, r.clock_ms, r.labels, r.priority, p.body, r.id
FROM replayed AS r
LEFT JOIN payloads AS p
       ON p.tenant_id = r.tenant_id AND p.execution_id = r.id AND p.kind = 'params'
RETURNING 1
"""


async def stage_replays(
    conn: Connection,
    tenant: UUID,
    upload: UUID,
    executions: Sequence[UUID],
    *,
    script_id: UUID | None = None,
    versions: Sequence[int] | None = None,
    priority: int | None = None,
    timeout_seconds: float,
) -> int:
    """Stage replays of finished executions, in their order; return how many there are.

    Each has the input, params, limits, seed, clock and labels of the recorded one, and its
    version and priority, or those that are given: `versions` has one for each execution.
    Executions that are unknown, unfinished or erased are left out.
    """
    values = in_order(
        STAGE_REPLAYS,
        tenant_id=tenant,
        upload_id=upload,
        ids=executions,
        script_id=script_id,
        versions=versions,
        priority=priority,
    )
    return len(await conn.fetch(STAGE_REPLAYS, *values, timeout=timeout_seconds))


DELETE_UPLOAD = """
DELETE FROM batch_inputs
WHERE tenant_id = $1 AND upload_id = $2
"""


async def delete_upload(conn: Connection, tenant: UUID, upload: UUID) -> None:
    """Drop what an upload has staged."""
    await conn.execute(DELETE_UPLOAD, tenant, upload)


# An upload that goes on stages an input within this time: a slower client is disconnected.
DELETE_ABANDONED = """
WITH abandoned AS MATERIALIZED (
    SELECT upload_id
    FROM batch_inputs
    GROUP BY upload_id
    HAVING max(staged_at) < now() - make_interval(days => $1)
    LIMIT $2
),
deleted AS (
    DELETE FROM batch_inputs AS i
    USING abandoned
    WHERE i.upload_id = abandoned.upload_id
    RETURNING i.blob_key
)
SELECT (SELECT count(*) FROM abandoned) AS items,
       (SELECT count(*) FROM deleted) AS rows,
       ARRAY(SELECT blob_key FROM deleted WHERE blob_key IS NOT NULL) AS blob_keys
"""


async def delete_abandoned(conn: Connection, days: int, limit: int) -> ExpiredBatch:
    """Drop what up to `limit` uploads have staged, if nothing was added for `days`."""
    row = await conn.fetchrow(DELETE_ABANDONED, days, limit)
    assert row is not None  # noqa: S101 - counts have a row
    return ExpiredBatch(**dict(row))
