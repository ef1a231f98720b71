"""Read runs as their clients see them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import UNSET, Raw
from msgspec.structs import asdict, replace

from app.datasets.model import Mode
from app.db import Connection, from_row
from app.executions.model import ScriptVersionRef
from app.limits import Limits
from app.payloads.model import PayloadRef
from app.progress.filters import matching
from app.runs.model import (
    Emit,
    Offer,
    PublishedOutput,
    ReplayedRun,
    Run,
    RunFilter,
    RunProgress,
    RunReceipt,
    RunState,
    RunStatus,
    SnapshotRef,
)
from app.sandbox.parts import Format, OnError
from app.schemas.pinned import ref_column, version_column, version_of
from app.sql_parameters import in_order

# Reads the CTE `parameters`: tenant_id, is_single and what the statement's own conditions name.
_RUNS = f"""
SELECT r.id, r.status, r.version, r.dataset, r.snapshot, r.format, r.each, r.emit, r.on_error,
       r.max_errors, r.output_dataset, r.output_mode, r.publishes, r.output_snapshot, r.labels,
       r.priority, r.seed, r.clock_ms, r.wall_ms, r.max_cpu_ms, r.memory_bytes, r.max_output_bytes,
       r.parts, r.parts_done, r.raw_bytes, r.raw_bytes_done, r.rows_in, r.rows_out, r.rows_failed,
       r.error, r.created_at, r.started_at, r.last_done_at, r.finished_at, r.replay_of,
       r.result_of, clock_timestamp() AS read_at,
       encode(r.input_sha256, 'hex') AS input_sha256,
       encode(r.output_sha256, 'hex') AS output_sha256,
       CASE WHEN parameters.is_single THEN r.params END AS params,
       CASE WHEN parameters.is_single THEN encode(sha256(r.params), 'hex') END AS params_sha256,
       CASE WHEN parameters.is_single THEN r.callback_url END AS callback_url,
       s.id AS script_id, s.name AS script_name, encode(v.sha256, 'hex') AS script_sha256,
       {version_column("v", "input")} AS input_schema,
       {version_column("v", "output")} AS output_schema,
       {version_column("r", "record")} AS record_schema,
       d.key AS output_key,
       encode(y.sha256, 'hex') AS result_sha256, y.size_bytes AS result_bytes,
       y.erased_at AS result_erased_at,
       CASE WHEN parameters.is_single THEN y.body END AS result,
       o.status AS original_status, o.error AS original_error,
       encode(o.output_sha256, 'hex') AS original_output_sha256,
       encode(oy.sha256, 'hex') AS original_result_sha256
FROM parameters
JOIN runs AS r ON r.tenant_id = parameters.tenant_id
JOIN scripts AS s ON s.tenant_id = r.tenant_id AND s.id = r.script_id
JOIN script_versions AS v
  ON v.tenant_id = r.tenant_id AND v.script_id = r.script_id AND v.version = r.version
LEFT JOIN datasets AS d ON d.tenant_id = r.tenant_id AND d.id = r.output_dataset_id
LEFT JOIN payloads AS y
       ON y.tenant_id = r.tenant_id AND y.execution_id = r.result_of AND y.kind = 'result'
LEFT JOIN runs AS o ON o.tenant_id = r.tenant_id AND o.id = r.replay_of
LEFT JOIN payloads AS oy
       ON oy.tenant_id = o.tenant_id AND oy.execution_id = o.result_of AND oy.kind = 'result'
"""  # noqa: S608 - put together from constants

SELECT_RUN = f"""
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id, $2::uuid AS id, $3::boolean AS is_single
)
{_RUNS}
WHERE r.id = parameters.id
"""

# What the parts of a run have used, those that merge states included.
SELECT_USAGE = """
SELECT count(*) AS executions, coalesce(sum(e.attempts), 0) AS attempts,
       round(coalesce(sum(e.run_ms), 0)::numeric, 3)::float8 AS run_ms,
       round(coalesce(sum(e.cpu_ms), 0)::numeric, 3)::float8 AS cpu_ms,
       max(e.peak_memory_bytes) AS peak_memory_bytes,
       coalesce(array_agg(DISTINCT e.v8_version) FILTER (WHERE e.v8_version IS NOT NULL), '{}')
           AS v8_versions,
       coalesce(array_agg(DISTINCT e.isolation) FILTER (WHERE e.isolation IS NOT NULL), '{}')
           AS isolations
FROM executions AS e
WHERE e.tenant_id = $1 AND e.run_id = $2
"""


async def select_run(
    conn: Connection, tenant: UUID, run_id: UUID, *, is_single: bool = True
) -> Run | None:
    """Find one run; `is_single`: with what a list or an event leaves out."""
    row = await conn.fetchrow(SELECT_RUN, tenant, run_id, is_single)
    if row is None:
        return None
    run = _run(row)
    if not is_single or not run.status.final:
        return run
    usage = await conn.fetchrow(SELECT_USAGE, tenant, run_id)
    assert usage is not None  # noqa: S101 - an aggregate has a row
    return replace(run, receipt=_receipt(row, run, usage))


SELECT_RUN_PAGE = f"""
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::boolean AS is_single,
           $3::uuid AS below,
           $4::uuid AS script_id,
           $5::integer AS version,
           $6::text AS dataset,
           $7::integer AS snapshot,
           $8::text AS status,
           $9::jsonb AS labels,
           $10::timestamptz AS created_from,
           $11::timestamptz AS created_before
)
{_RUNS}
WHERE r.id < parameters.below
AND r.labels @> parameters.labels
{matching("r", "script_id", "version", "dataset", "snapshot", "status")}
ORDER BY r.id DESC
LIMIT $12
"""


async def select_run_page(
    conn: Connection, tenant: UUID, wanted: RunFilter, *, below: UUID, limit: int
) -> list[Run]:
    """List runs, newest first, without their results."""
    values = in_order(
        SELECT_RUN_PAGE,
        tenant_id=tenant,
        is_single=False,
        below=below,
        limit=limit,
        **asdict(wanted),
    )
    return [_run(row) for row in await conn.fetch(SELECT_RUN_PAGE, *values)]


SELECT_STATUS = """
SELECT status
FROM runs
WHERE tenant_id = $1 AND id = $2
"""


async def select_status(conn: Connection, tenant: UUID, run_id: UUID) -> RunStatus | None:
    """Return the status of a run; None if there is no such run."""
    status = await conn.fetchval(SELECT_STATUS, tenant, run_id)
    return None if status is None else RunStatus(status)


SELECT_OFFER = f"""
SELECT v.kinds, v.io, {ref_column("v", "input")} AS input_schema,
       {ref_column("v", "output")} AS output_schema
FROM script_versions AS v
WHERE v.tenant_id = $1 AND v.script_id = $2 AND v.version = $3
"""  # noqa: S608 - put together from constants


async def select_offer(conn: Connection, tenant: UUID, script_id: UUID, version: int) -> Offer:
    """Return what a version, which exists, can be run as."""
    row = await conn.fetchrow(SELECT_OFFER, tenant, script_id, version)
    assert row is not None  # noqa: S101 - versions are never deleted
    return from_row(Offer, row)


# Across tenants: the ids are those that readers wait for, each found under its own tenant.
SELECT_STATES = """
SELECT id, status, parts_done
FROM runs
WHERE id = ANY ($1)
"""


async def select_states(conn: Connection, ids: Sequence[UUID]) -> list[RunState]:
    """Read the states of several runs."""
    return [from_row(RunState, row) for row in await conn.fetch(SELECT_STATES, ids)]


def _run(row: asyncpg.Record) -> Run:
    status = RunStatus(row["status"])
    return Run(
        id=row["id"],
        status=status,
        script=ScriptVersionRef(
            id=row["script_id"],
            name=row["script_name"],
            version=row["version"],
            sha256=row["script_sha256"],
        ),
        input=SnapshotRef(dataset=row["dataset"], snapshot=row["snapshot"]),
        format=Format(row["format"]),
        each=row["each"],
        emit=Emit(row["emit"]),
        on_error=OnError(row["on_error"]),
        max_errors=row["max_errors"],
        output=_output(row),
        labels=row["labels"],
        priority=row["priority"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        progress=_progress(row),
        errors_url=f"/runs/{row['id']}/errors",
        result_url=(
            f"/runs/{row['id']}/result"
            if row["result_of"] is not None and row["result_erased_at"] is None
            else UNSET
        ),
        result=UNSET if row["result"] is None else Raw(row["result"]),
        published=_published(row) or UNSET,
        error=UNSET if row["error"] is None else Raw(row["error"]),
        params=UNSET if row["params"] is None else Raw(row["params"]),
        callback_url=row["callback_url"] or UNSET,
        replay_of=row["replay_of"] or UNSET,
        replay=_replayed(row) if status.final and row["replay_of"] else UNSET,
    )


def _output(row: asyncpg.Record) -> PublishedOutput | None:
    if row["output_dataset"] is None:
        return None
    return PublishedOutput(
        dataset=row["output_dataset"],
        key=row["output_key"],
        mode=Mode(row["output_mode"]),
        publishes=row["publishes"],
    )


def _published(row: asyncpg.Record) -> SnapshotRef | None:
    if row["output_snapshot"] is None:
        return None
    return SnapshotRef(dataset=row["output_dataset"], snapshot=row["output_snapshot"])


def _progress(row: asyncpg.Record) -> RunProgress:
    """Take rates up to the last part that has ended: until the next one, nothing is known."""
    rows_rate = bytes_rate = remaining = None
    started, last = row["started_at"], row["last_done_at"]
    if started is not None and last is not None and last > started:
        seconds = (last - started).total_seconds()
        rows_rate, bytes_rate = row["rows_in"] / seconds, row["raw_bytes_done"] / seconds
        left = row["raw_bytes"] - row["raw_bytes_done"]
        if row["finished_at"] is None and bytes_rate:
            remaining = max(0.0, left / bytes_rate - _seconds_between(last, row["read_at"]))
    return RunProgress(
        parts=row["parts"],
        parts_done=row["parts_done"],
        bytes=row["raw_bytes"],
        bytes_done=row["raw_bytes_done"],
        rows_in=row["rows_in"],
        rows_out=row["rows_out"],
        rows_failed=row["rows_failed"],
        rows_per_second=_rounded(rows_rate),
        bytes_per_second=_rounded(bytes_rate),
        remaining_seconds=_rounded(remaining),
    )


def _receipt(row: asyncpg.Record, run: Run, usage: asyncpg.Record) -> RunReceipt:
    assert run.finished_at is not None  # noqa: S101 - it has ended
    members: dict[str, Any] = dict(usage)
    return RunReceipt(
        script=run.script,
        input=run.input,
        input_sha256=row["input_sha256"],
        params=_payload_ref(row["params_sha256"], len(row["params"] or b"")),
        output=_published(row),
        output_sha256=row["output_sha256"],
        result=_payload_ref(row["result_sha256"], row["result_bytes"]),
        seed=row["seed"],
        clock_ms=row["clock_ms"],
        limits=from_row(Limits, row),
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        input_schema=version_of(row, "input_schema"),
        output_schema=version_of(row, "output_schema"),
        record_schema=version_of(row, "record_schema"),
        **members,
    )


def _replayed(row: asyncpg.Record) -> ReplayedRun:
    results = (row["original_result_sha256"], row["result_sha256"])
    outputs = (row["original_output_sha256"], row["output_sha256"])
    identical = None
    if row["original_status"] is not None:
        identical = (
            row["original_status"] == row["status"]
            and results[0] == results[1]
            and outputs[0] == outputs[1]
            and _without_part(row["original_error"]) == _without_part(row["error"])
        )
    return ReplayedRun(identical=identical, result_sha256=results, output_sha256=outputs)


def _without_part(error: bytes | None) -> bytes | None:
    """Return an error without the id of the execution that has failed, which ends it."""
    return None if error is None else error.partition(b', "execution": "')[0]


def _payload_ref(sha256: str | None, size_bytes: int) -> PayloadRef | None:
    return None if sha256 is None else PayloadRef(sha256=sha256, bytes=size_bytes)


def _seconds_between(earlier: datetime, later: datetime) -> float:
    return (later - earlier).total_seconds()


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 3)
