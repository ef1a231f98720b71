"""Read executions as their clients see them."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import asdict

from app.db import Connection, from_row
from app.executions.model import (
    BatchItem,
    Execution,
    ExecutionFilter,
    ExecutionState,
    Receipt,
    ReplayOutcome,
    RunPart,
    ScriptVersionRef,
    Status,
)
from app.limits import Limits
from app.pagination import ids_between
from app.payloads.model import PayloadRef
from app.progress.filters import matching
from app.sandbox.protocol import Isolation
from app.schemas.pinned import version_column, version_of
from app.sql_parameters import in_order

# Reads the CTE `parameters`: tenant_id, with_result and what the statement's own conditions name.
_EXECUTIONS = f"""
SELECT e.id, e.status, e.labels, e.priority, e.attempts, e.created_at, e.started_at, e.finished_at,
       e.error, CASE WHEN i.erased_at IS NULL THEN e.warnings END AS warnings,
       e.seed, e.clock_ms, e.v8_version, e.isolation, e.run_ms, e.cpu_ms, e.peak_memory_bytes,
       e.wall_ms, e.max_cpu_ms, e.memory_bytes, e.max_output_bytes, e.batch_id, e.batch_line,
       e.run_id, rt.number AS run_part, rt.task AS run_task, rt.level AS run_level,
       s.id AS script_id, s.name AS script_name, e.version,
       encode(v.sha256, 'hex') AS script_sha256,
       {version_column("v", "input")} AS input_schema,
       {version_column("v", "output")} AS output_schema,
       encode(i.sha256, 'hex') AS input_sha256, i.size_bytes AS input_bytes,
       i.media_type AS input_type, i.erased_at AS data_erased_at,
       encode(r.sha256, 'hex') AS output_sha256, r.size_bytes AS output_bytes,
       r.media_type AS output_type,
       encode(p.sha256, 'hex') AS params_sha256, p.size_bytes AS params_bytes,
       CASE WHEN parameters.with_result THEN e.callback_url END AS callback_url,
       rp.replay_of, rp.status AS original_status, rp.error AS original_error,
       encode(rp.output_sha256, 'hex') AS original_sha256,
       CASE WHEN parameters.with_result THEN p.body END AS params,
       CASE WHEN parameters.with_result AND r.media_type IS NULL THEN r.body END AS result
FROM parameters
JOIN executions AS e ON e.tenant_id = parameters.tenant_id
JOIN scripts AS s ON s.tenant_id = e.tenant_id AND s.id = e.script_id
JOIN script_versions AS v
  ON v.tenant_id = e.tenant_id AND v.script_id = e.script_id AND v.version = e.version
JOIN payloads AS i ON i.tenant_id = e.tenant_id AND i.execution_id = e.id AND i.kind = 'input'
LEFT JOIN payloads AS r
       ON r.tenant_id = e.tenant_id AND r.execution_id = e.id AND r.kind = 'result'
LEFT JOIN payloads AS p
       ON p.tenant_id = e.tenant_id AND p.execution_id = e.id AND p.kind = 'params'
LEFT JOIN replays AS rp ON rp.tenant_id = e.tenant_id AND rp.execution_id = e.id
LEFT JOIN run_parts AS rt
       ON rt.tenant_id = e.tenant_id AND rt.execution_id = e.id AND rt.run_id = e.run_id
"""  # noqa: S608 - put together from constants

SELECT_EXECUTION = f"""
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id, $2::boolean AS with_result, $3::uuid AS id
)
{_EXECUTIONS}
WHERE e.id = parameters.id
"""


async def select_execution(
    conn: Connection, tenant: UUID, execution_id: UUID, *, with_result: bool = True
) -> Execution | None:
    """Find one execution; `with_result`: with its params and an inline result."""
    row = await conn.fetchrow(SELECT_EXECUTION, tenant, with_result, execution_id)
    return None if row is None else execution_of(row)


SELECT_EXECUTIONS = f"""
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id, $2::boolean AS with_result, $3::uuid[] AS ids,
           $4::bigint AS max_bytes
)
{_EXECUTIONS}
WHERE e.id = ANY (parameters.ids)
  AND (NOT parameters.with_result
       OR coalesce(r.size_bytes, 0) + coalesce(p.size_bytes, 0) <= parameters.max_bytes)
"""


async def select_executions(
    conn: Connection, tenant: UUID, ids: Sequence[UUID], *, with_result: bool, max_bytes: int
) -> list[Execution | None]:
    """Find several executions of a tenant, in the order of `ids`, as `select_execution` does.

    With results, one whose result and params exceed `max_bytes` together is left out, as None.
    """
    rows = await conn.fetch(SELECT_EXECUTIONS, tenant, with_result, ids, max_bytes)
    found = {row["id"]: row for row in rows}
    return [execution_of(found[each]) if each in found else None for each in ids]


_PAGE = f"""
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::boolean AS with_result,
           $3::uuid AS below,
           $4::uuid AS first_id,
           $5::uuid AS last_id,
           $6::uuid AS script_id,
           $7::integer AS version,
           $8::text AS status,
           $9::jsonb AS labels,
           $10::timestamptz AS created_from,
           $11::timestamptz AS created_before,
           $12::uuid AS batch_id,
           $13::uuid AS run_id
)
{_EXECUTIONS}
WHERE e.id < parameters.below
AND e.id >= parameters.first_id AND e.id <= parameters.last_id
AND e.labels @> parameters.labels
{matching("e", "script_id", "version", "status", "batch_id")}
"""

_NEWEST_FIRST = "ORDER BY e.id DESC LIMIT $14"

SELECT_EXECUTION_PAGE = _PAGE + _NEWEST_FIRST

# Apart, so that every plan of it finds the parts of a run by their index.
SELECT_PART_PAGE = _PAGE + "AND e.run_id = parameters.run_id " + _NEWEST_FIRST


async def select_execution_page(
    conn: Connection, tenant: UUID, wanted: ExecutionFilter, *, below: UUID, limit: int
) -> list[Execution]:
    """List executions, newest first, without their results."""
    first_id, last_id = id_range(wanted)
    statement = SELECT_EXECUTION_PAGE if wanted.run_id is None else SELECT_PART_PAGE
    values = in_order(
        statement,
        tenant_id=tenant,
        with_result=False,
        below=below,
        first_id=first_id,
        last_id=last_id,
        limit=limit,
        **asdict(wanted),
    )
    rows = await conn.fetch(statement, *values)
    return [execution_of(row) for row in rows]


SELECT_STATUS = """
SELECT status
FROM executions
WHERE tenant_id = $1 AND id = $2
"""


async def select_status(conn: Connection, tenant: UUID, execution_id: UUID) -> Status | None:
    """Return an execution's status; None if there is no such execution."""
    status = await conn.fetchval(SELECT_STATUS, tenant, execution_id)
    return None if status is None else Status(status)


# Across tenants: the ids are those that readers wait for, each found under its own tenant.
SELECT_STATES = """
SELECT id, status, attempts
FROM executions
WHERE id = ANY ($1)
"""


async def select_states(conn: Connection, ids: Sequence[UUID]) -> list[ExecutionState]:
    """Read the states of several executions."""
    return [from_row(ExecutionState, row) for row in await conn.fetch(SELECT_STATES, ids)]


def id_range(wanted: ExecutionFilter) -> tuple[UUID, UUID]:
    """Bound the ids of executions that a filter matches, so that an index finds them.

    The ids of a batch's items begin as its own does.
    """
    low, high = ids_between(wanted.created_from, wanted.created_before)
    if wanted.batch_id is not None:
        begin = (wanted.batch_id.int >> 80) << 80
        low, high = max(low, UUID(int=begin)), min(high, UUID(int=begin | (2**80 - 1)))
    return low, high


def execution_of(row: asyncpg.Record | Mapping[str, Any]) -> Execution:
    """Convert a row of SELECT_EXECUTION."""
    status = Status(row["status"])
    script = ScriptVersionRef(
        id=row["script_id"],
        name=row["script_name"],
        version=row["version"],
        sha256=row["script_sha256"],
    )
    return Execution(
        id=row["id"],
        status=status,
        script=script,
        labels=row["labels"],
        priority=row["priority"],
        attempts=row["attempts"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        batch=UNSET
        if row["batch_id"] is None
        else BatchItem(id=row["batch_id"], line=row["batch_line"]),
        run=_run_part(row),
        error=UNSET if row["error"] is None else Raw(row["error"]),
        callback_url=row["callback_url"] or UNSET,
        result_url=(
            f"/executions/{row['id']}/result"
            if status is Status.SUCCEEDED and row["data_erased_at"] is None
            else UNSET
        ),
        params=UNSET if row["params"] is None else Raw(row["params"]),
        result=UNSET if row["result"] is None else Raw(row["result"]),
        warnings=UNSET if row["warnings"] is None else Raw(row["warnings"]),
        data_erased_at=row["data_erased_at"] or UNSET,
        replay_of=row["replay_of"] or UNSET,
        replay=_replay_outcome(row) if status.final and row["replay_of"] else UNSET,
        receipt=_receipt(row, script) if status.final else UNSET,
    )


def _run_part(row: asyncpg.Record | Mapping[str, Any]) -> RunPart | UnsetType:
    if row["run_id"] is None or row["run_part"] is None:
        return UNSET
    return RunPart(
        id=row["run_id"], part=row["run_part"], task=row["run_task"], level=row["run_level"]
    )


def _replay_outcome(row: asyncpg.Record | Mapping[str, Any]) -> ReplayOutcome:
    hashes = (row["original_sha256"], row["output_sha256"])
    return ReplayOutcome(
        identical=row["status"] == row["original_status"]
        and hashes[0] == hashes[1]
        and row["error"] == row["original_error"],
        output_sha256=hashes,
    )


def _receipt(row: asyncpg.Record | Mapping[str, Any], script: ScriptVersionRef) -> Receipt:
    created, started, finished = row["created_at"], row["started_at"], row["finished_at"]
    return Receipt(
        script=script,
        input=PayloadRef(
            sha256=row["input_sha256"],
            bytes=row["input_bytes"],
            media_type=row["input_type"] or UNSET,
        ),
        params=_payload_ref(row["params_sha256"], row["params_bytes"]),
        output=_payload_ref(row["output_sha256"], row["output_bytes"], row["output_type"]),
        seed=row["seed"],
        clock_ms=row["clock_ms"],
        v8_version=row["v8_version"],
        isolation=None if row["isolation"] is None else Isolation(row["isolation"]),
        limits=from_row(Limits, row),
        attempts=row["attempts"],
        created_at=created,
        started_at=started,
        finished_at=finished,
        queued_ms=None if started is None else _ms(started - created),
        run_ms=row["run_ms"],
        lead_ms=_ms(finished - created),
        cpu_ms=row["cpu_ms"],
        peak_memory_bytes=row["peak_memory_bytes"],
        input_schema=version_of(row, "input_schema"),
        output_schema=version_of(row, "output_schema"),
    )


def _payload_ref(
    sha256: str | None, size_bytes: int, media_type: str | None = None
) -> PayloadRef | None:
    if sha256 is None:
        return None
    return PayloadRef(sha256=sha256, bytes=size_bytes, media_type=media_type or UNSET)


def _ms(duration: timedelta) -> float:
    return duration / timedelta(milliseconds=1)
