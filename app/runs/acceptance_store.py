"""Store a run, and what each of its parts will read, in a transaction of the caller."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from app.datasets.model import Mode
from app.db import Connection, optional_from_row
from app.limits import (
    MIB,
    MIN_MEMORY_BYTES,
    WORKER_TIMEOUT_SECONDS,
    LimitChoice,
    LimitPolicy,
)
from app.runs.model import Emit
from app.sandbox.parts import Format, OnError, Task
from app.sql_parameters import in_order
from app.workers.model import NoWorkerLargeEnough

# A part has megabytes to read, so the wall time limit of an execution is too short for many.
DEFAULT_PART_WALL_MS: Final = 60_000
# What a part reads: more costs fairness, as a part that runs gives no slot back; less costs time,
# as each has a cell of its own, whose loops begin as bytecode (docs/BENCHMARKS.md).
_READ_BYTES: Final = 32 * MIB


class NewRun(Struct, frozen=True, kw_only=True):
    """A run to be stored; `tasks` are those that read the dataset, MAP or FOLD or both.

    Without `clock_ms` the clock shows the time of acceptance. `output_dataset_id` names the dataset
    that takes what MAP writes; without `publishes` that is hashed and dropped. None: no MAP.
    """

    id: UUID
    script_id: UUID
    version: int
    dataset_id: UUID
    dataset: str
    snapshot: int
    format: Format
    each: str | None
    emit: Emit
    on_error: OnError
    max_errors: int
    tasks: Sequence[Task]
    merges: bool
    output_dataset_id: UUID | None
    output_dataset: str | None
    output_mode: Mode | None
    publishes: bool = True
    params: bytes | None
    labels: dict[str, str]
    priority: int
    seed: int
    clock_ms: int | None = None
    callback_url: str | None = None
    request_id: str | None = None
    traceparent: str | None = None
    replay_of: UUID | None = None


class InputTotals(Struct, frozen=True, kw_only=True):
    """What a snapshot has: files, parts of runs that read them once, and raw bytes."""

    files: int
    parts: int
    raw_bytes: int
    sha256: bytes


# Files of a snapshot are read in the order of their parts. Consecutive parts of a file that begin
# in the same _READ_BYTES are read together: small ones would cost more to begin than to read.
_READ_PARTS: Final = f"""
SELECT f.id AS file_id, min(p.sequence) AS sequence, min(p.number) AS first_part,
       max(p.number) AS last_part, min(p.first_line) AS first_line,
       sum(p.raw_bytes)::bigint AS raw_bytes
FROM dataset_files AS f
JOIN dataset_parts AS p ON p.tenant_id = f.tenant_id AND p.file_id = f.id
WHERE f.tenant_id = $1 AND f.dataset_id = $2 AND f.added_in <= $3
  AND (f.removed_in IS NULL OR f.removed_in > $3)
GROUP BY f.id, p.first_byte / {_READ_BYTES}
"""  # noqa: S608 - put together from constants

# The transaction keeps the snapshot: its deletion and its expiry lock the dataset, and then see the
# run.
SHARE_DATASET = """
SELECT id
FROM datasets
WHERE tenant_id = $1 AND id = $2
FOR SHARE
"""

SELECT_INPUT = f"""
WITH parts AS MATERIALIZED ({_READ_PARTS}),
files AS (
    SELECT f.path, f.digest, min(p.sequence) AS sequence
    FROM parts AS p
    JOIN dataset_files AS f ON f.tenant_id = $1 AND f.id = p.file_id
    GROUP BY f.id
)
SELECT (SELECT count(*) FROM files) AS files,
       (SELECT count(*) FROM parts) AS parts,
       (SELECT coalesce(sum(raw_bytes), 0)::bigint FROM parts) AS raw_bytes,
       sha256(coalesce((SELECT string_agg(convert_to(path, 'UTF8') || '\\x00'::bytea || digest,
                                          ''::bytea ORDER BY sequence)
                        FROM files), '')) AS sha256
"""  # noqa: S608 - put together from constants


async def select_input(
    conn: Connection, tenant: UUID, dataset_id: UUID, snapshot: int
) -> InputTotals | None:
    """Keep a snapshot until the transaction ends, and return what it has; None: it is gone."""
    if await conn.fetchval(SHARE_DATASET, tenant, dataset_id) is None:
        return None
    return optional_from_row(
        InputTotals, await conn.fetchrow(SELECT_INPUT, tenant, dataset_id, snapshot)
    )


INSERT_RUN = f"""
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS id,
           $2::uuid AS tenant_id,
           $3::uuid AS script_id,
           $4::integer AS version,
           $5::uuid AS dataset_id,
           $6::text AS dataset,
           $7::integer AS snapshot,
           $8::text AS format,
           $9::text AS each,
           $10::text AS emit,
           $11::text AS on_error,
           $12::integer AS max_errors,
           $13::boolean AS folds,
           $14::boolean AS merges,
           $15::uuid AS output_dataset_id,
           $16::text AS output_dataset,
           $17::text AS output_mode,
           $18::bytea AS input_sha256,
           $19::boolean AS publishes,
           $20::bytea AS params,
           $21::jsonb AS labels,
           $22::smallint AS priority,
           $23::bigint AS seed,
           $24::bigint AS clock_ms,
           $25::text AS callback_url,
           $26::text AS request_id,
           $27::text AS traceparent,
           $28::uuid AS replay_of,
           $29::integer AS parts,
           $30::bigint AS raw_bytes,
           $31::integer AS wall_ms,
           $32::integer AS max_cpu_ms,
           $33::bigint AS memory_bytes,
           $34::bigint AS max_output_bytes,
           $35::integer AS default_wall_ms,
           $36::bigint AS default_memory_bytes,
           $37::integer AS ceiling_wall_ms,
           $38::integer AS ceiling_cpu_ms,
           $39::bigint AS ceiling_memory_bytes,
           $40::bigint AS ceiling_output_bytes,
           $41::float8 AS seen_within_seconds
),
clock AS MATERIALIZED (SELECT clock_timestamp() AS accepted_at),
workforce AS MATERIALIZED (
    SELECT CASE WHEN count(*) = count(w.max_memory_bytes) THEN max(w.max_memory_bytes) END
           AS max_memory_bytes
    FROM parameters, workers AS w
    WHERE w.seen_at > now() - make_interval(secs => parameters.seen_within_seconds)
),
limits AS MATERIALIZED (
    SELECT least(coalesce(p.wall_ms, v.wall_ms, p.default_wall_ms), p.ceiling_wall_ms) AS wall_ms,
           least(coalesce(p.max_cpu_ms, v.max_cpu_ms, p.wall_ms, v.wall_ms, p.default_wall_ms),
                 p.ceiling_cpu_ms) AS max_cpu_ms,
           least(coalesce(p.memory_bytes, v.memory_bytes,
                          greatest(least(p.default_memory_bytes, w.max_memory_bytes),
                                   {MIN_MEMORY_BYTES})),
                 p.ceiling_memory_bytes) AS memory_bytes,
           least(coalesce(p.max_output_bytes, v.max_output_bytes), p.ceiling_output_bytes)
           AS max_output_bytes,
           w.max_memory_bytes AS largest_bytes
    FROM workforce AS w, parameters AS p
    JOIN script_versions AS v
      ON v.tenant_id = p.tenant_id AND v.script_id = p.script_id AND v.version = p.version
)
INSERT INTO runs
       (id, tenant_id, script_id, version, dataset_id, dataset, snapshot, format, each, emit,
        on_error, max_errors, folds, merges, output_dataset_id, output_dataset, output_mode,
        publishes, input_sha256, params, labels, priority, seed, clock_ms, callback_url, request_id,
        traceparent, replay_of, parts, raw_bytes, wall_ms, max_cpu_ms, memory_bytes,
        max_output_bytes, record_schema_id, record_schema_version, created_at)
SELECT p.id, p.tenant_id, p.script_id, p.version, p.dataset_id, p.dataset, p.snapshot, p.format,
       p.each, p.emit, p.on_error, p.max_errors, p.folds, p.merges, p.output_dataset_id,
       p.output_dataset, p.output_mode, p.publishes, p.input_sha256, p.params, p.labels,
       p.priority, p.seed,
       coalesce(p.clock_ms, floor(extract(epoch FROM clock.accepted_at) * 1000)), p.callback_url,
       p.request_id, p.traceparent, p.replay_of, p.parts, p.raw_bytes, limits.wall_ms,
       limits.max_cpu_ms, limits.memory_bytes, limits.max_output_bytes, d.record_schema_id,
       d.record_schema_version, clock.accepted_at
FROM clock, limits, parameters AS p
LEFT JOIN datasets AS d ON d.tenant_id = p.tenant_id AND d.id = p.output_dataset_id
WHERE (limits.memory_bytes > limits.largest_bytes) IS NOT TRUE
RETURNING created_at
"""  # noqa: S608 - put together from constants

# A fold's part that is the only one, or the last without a merge, has the run's result.
INSERT_PARTS = f"""
INSERT INTO run_parts
       (run_id, task, level, number, tenant_id, finishes, file_id, first_part, last_part,
        first_line, raw_bytes)
SELECT $4, t.task, 0, p.number, $1,
       t.task = 'fold' AND p.number = p.last AND (p.number = 1 OR NOT $6),
       p.file_id, p.first_part, p.last_part, p.first_line, p.raw_bytes
FROM (
    SELECT r.*, row_number() OVER (ORDER BY r.sequence) AS number, count(*) OVER () AS last
    FROM ({_READ_PARTS}) AS r
) AS p
CROSS JOIN unnest($5::text[]) AS t (task)
"""  # noqa: S608 - put together from constants


async def insert_run(
    conn: Connection,
    tenant: UUID,
    new: NewRun,
    *,
    totals: InputTotals,
    limits: LimitChoice,
    policy: LimitPolicy,
) -> datetime:
    """Store a run over a snapshot that `select_input` has kept; return its acceptance.

    Raises NoWorkerLargeEnough.
    """
    columns = {
        name: value
        for name, value in msgspec.structs.asdict(new).items()
        if name not in ("tasks", "clock_ms")
    }
    values = in_order(
        INSERT_RUN,
        tenant_id=tenant,
        **columns,
        folds=Task.FOLD in new.tasks,
        input_sha256=totals.sha256,
        clock_ms=new.clock_ms,
        parts=totals.parts,
        raw_bytes=totals.raw_bytes,
        wall_ms=limits.wall_ms,
        default_wall_ms=max(policy.default_wall_ms, DEFAULT_PART_WALL_MS),
        ceiling_wall_ms=policy.ceilings.wall_ms,
        max_cpu_ms=limits.max_cpu_ms,
        ceiling_cpu_ms=policy.ceilings.max_cpu_ms,
        max_output_bytes=limits.max_output_bytes,
        ceiling_output_bytes=policy.ceilings.max_output_bytes,
        seen_within_seconds=WORKER_TIMEOUT_SECONDS,
        memory_bytes=limits.memory_bytes,
        default_memory_bytes=policy.default_memory_bytes,
        ceiling_memory_bytes=policy.ceilings.memory_bytes,
    )
    accepted_at: datetime | None = await conn.fetchval(INSERT_RUN, *values)
    if accepted_at is None:
        raise NoWorkerLargeEnough("no live worker can enforce the memory limit of the run's parts")
    await conn.execute(
        INSERT_PARTS, tenant, new.dataset_id, new.snapshot, new.id, new.tasks, new.merges
    )
    return accepted_at
