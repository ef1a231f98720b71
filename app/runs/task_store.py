"""Read what a part of a run has to do, and store what an attempt of it has done."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from app.datasets.parts import Format as DatasetFormat, PartRef, StoredPart
from app.datasets.upload_store import PartKeys
from app.db import Connection, from_row
from app.errors import CrivoError
from app.executions.model import Claim
from app.payloads.model import StoredPayload
from app.runs.model import Emit
from app.sandbox.parts import Format, OnError, Task
from app.schemas.pinned import SchemaKey, key_of
from app.sql_parameters import in_order


class PartTask(Struct, frozen=True, kw_only=True):
    """What a part reads, what the script does with it, and where its values go.

    Of `first_part` to `last_part` of a file it reads the raw bytes, which begin after `first_line`
    lines. `max_errors` is what other parts have left of that of the run. Without `output_format`
    the values of a map are not kept; they satisfy the record schema, if there is one. A version
    that `only_folds` has no `process` and no `map`.
    """

    run_id: UUID
    task: Task
    level: int
    number: int
    finishes: bool
    format: Format
    each: str | None
    emit: Emit
    on_error: OnError
    max_errors: int
    max_errors_of_run: int
    merges: bool
    params: bytes | None
    file_id: UUID | None
    path: str | None
    first_part: int | None
    last_part: int | None
    first_line: int
    first_state: int | None
    last_state: int | None
    output_format: DatasetFormat | None
    output_key: str | None
    hash_seed: int | None
    record_schema: SchemaKey | None
    only_folds: bool


SELECT_TASK = """
SELECT p.run_id, p.task, p.level, p.number, p.finishes, r.format, r.each, r.emit, r.on_error,
       r.max_errors
       - CASE WHEN p.task = 'map' OR r.output_dataset_id IS NULL THEN r.rows_failed ELSE 0 END
       AS max_errors,
       r.max_errors AS max_errors_of_run, r.merges, r.params, p.file_id, f.path, p.first_part,
       p.last_part, p.first_line, p.first_state, p.last_state, d.format AS output_format,
       d.key AS output_key, d.hash_seed, r.record_schema_id, r.record_schema_version,
       NOT v.kinds && '{process,map}' AS only_folds
FROM run_parts AS p
JOIN runs AS r ON r.tenant_id = p.tenant_id AND r.id = p.run_id
JOIN script_versions AS v
  ON v.tenant_id = r.tenant_id AND v.script_id = r.script_id AND v.version = r.version
LEFT JOIN dataset_files AS f ON f.tenant_id = p.tenant_id AND f.id = p.file_id
LEFT JOIN datasets AS d ON d.tenant_id = r.tenant_id AND d.id = r.output_dataset_id
WHERE p.tenant_id = $1 AND p.execution_id = $2 AND r.finished_at IS NULL
"""

# The first part that begins is the start of the run.
START_RUN = """
UPDATE runs
SET status = 'running', started_at = clock_timestamp()
WHERE tenant_id = $1 AND id = $2 AND status = 'queued'
"""


async def begin(conn: Connection, claim: Claim) -> PartTask | None:
    """Return what a claimed part has to do; None: its run has ended."""
    row = await conn.fetchrow(SELECT_TASK, claim.tenant_id, claim.id)
    if row is None:
        return None
    task = from_row(PartTask, {**row, "record_schema": key_of(row, "record")})
    await conn.execute(START_RUN, claim.tenant_id, task.run_id)
    return task


SELECT_INPUTS = """
SELECT blob_key, raw_bytes, stored_bytes
FROM dataset_parts
WHERE tenant_id = $1 AND file_id = $2 AND number BETWEEN $3 AND $4
ORDER BY number
"""


async def select_inputs(conn: Connection, tenant: UUID, task: PartTask) -> list[PartRef]:
    """List the parts of the dataset that a part of the run reads, in order."""
    rows = await conn.fetch(SELECT_INPUTS, tenant, task.file_id, task.first_part, task.last_part)
    return [from_row(PartRef, row) for row in rows]


class StateGone(CrivoError):
    """The state that a part begins with has been erased."""


SELECT_STATES = """
SELECT y.sha256, y.size_bytes, y.body, y.blob_key
FROM run_parts AS p
JOIN payloads AS y
  ON y.tenant_id = p.tenant_id AND y.execution_id = p.execution_id AND y.kind = 'result'
WHERE p.tenant_id = $1 AND p.run_id = $2 AND p.task = $3 AND p.level = $4
  AND p.number BETWEEN $5 AND $6 AND p.lease_token IS NOT NULL AND y.erased_at IS NULL
ORDER BY p.number
"""


async def select_states(conn: Connection, tenant: UUID, task: PartTask) -> list[StoredPayload]:
    """List the states that a part begins with, in order; most have none. Raises StateGone."""
    if task.task is Task.MERGE:
        assert task.first_state is not None  # noqa: S101 - of a merge
        assert task.last_state is not None  # noqa: S101 - of a merge
        first, last = task.first_state, task.last_state
        of_task = Task.FOLD if task.level == 1 else Task.MERGE
        level = task.level - 1
    elif task.task is Task.FOLD and not task.merges and task.number > 1:
        first = last = task.number - 1
        of_task, level = Task.FOLD, 0
    else:
        return []
    rows = await conn.fetch(SELECT_STATES, tenant, task.run_id, of_task, level, first, last)
    if len(rows) != last - first + 1:
        raise StateGone("the state of an earlier part has been erased")
    return [from_row(StoredPayload, row) for row in rows]


class Written(Struct, frozen=True, kw_only=True):
    """A part of the output dataset as it was stored."""

    part: StoredPart
    keys: PartKeys


class Counts(Struct, frozen=True, kw_only=True):
    """Rows that an attempt has read, written and failed on."""

    rows_in: int
    rows_out: int
    rows_failed: int


class RunEnded(CrivoError):
    """The run has ended: what a part of it has done is of no use."""


# The end of a run waits for it, and then deletes what it has stored.
SHARE_RUN = """
SELECT id
FROM runs
WHERE tenant_id = $1 AND id = $2 AND finished_at IS NULL
FOR SHARE
"""

INSERT_ATTEMPT: Final = """
INSERT INTO run_attempts
       (execution_id, lease_token, run_id, tenant_id, rows_in, rows_out, rows_failed)
SELECT $1 AS execution_id, $2 AS lease_token, $3 AS run_id, $4 AS tenant_id, $5 AS rows_in,
       $6 AS rows_out, $7 AS rows_failed
ON CONFLICT (execution_id, lease_token) DO NOTHING
"""

INSERT_OUTPUT: Final = """
INSERT INTO run_outputs
       (execution_id, lease_token, number, run_id, tenant_id, sha256, raw_bytes, stored_bytes,
        index_bytes, lines, records, missing_keys, duplicates, ends_line, blob_key, index_key)
SELECT $1 AS execution_id, $2 AS lease_token, $3 AS number, $4 AS run_id, $5 AS tenant_id,
       $6 AS sha256, $7 AS raw_bytes, $8 AS stored_bytes, $9 AS index_bytes, $10 AS lines,
       $11 AS records, $12 AS missing_keys, $13 AS duplicates, $14 AS ends_line, $15 AS blob_key,
       $16 AS index_key
ON CONFLICT (execution_id, lease_token, number) DO NOTHING
"""


async def share_run(conn: Connection, tenant: UUID, run_id: UUID) -> None:
    """Keep a run from ending until the transaction ends; before any quota is locked.

    Raises RunEnded.
    """
    if await conn.fetchval(SHARE_RUN, tenant, run_id) is None:
        message = f"the run {run_id} has ended"
        raise RunEnded(message)


DELETE_ERRORS = """
DELETE FROM run_errors
WHERE tenant_id = $1 AND execution_id = $2 AND lease_token = $3
"""


async def delete_errors(conn: Connection, claim: Claim) -> None:
    """Forget the failed records of an attempt whose cell has died: it runs again."""
    await conn.execute(DELETE_ERRORS, claim.tenant_id, claim.id, claim.lease_token)


SELECT_HAS_INPUT = """
SELECT EXISTS (
    SELECT
    FROM dataset_files
    WHERE tenant_id = $1 AND id = $2
)
"""


async def has_input(conn: Connection, tenant: UUID, task: PartTask) -> bool:
    """Return whether the file that a part reads is still there; a merge reads none."""
    if task.file_id is None:
        return True
    found: bool = await conn.fetchval(SELECT_HAS_INPUT, tenant, task.file_id)
    return found


async def insert_attempt(
    conn: Connection, claim: Claim, run_id: UUID, counts: Counts, outputs: Sequence[Written]
) -> None:
    """Store what an attempt has done; it counts once the execution records the same token.

    To be called in a transaction, after `share_run`.
    """
    values = in_order(
        INSERT_ATTEMPT,
        execution_id=claim.id,
        lease_token=claim.lease_token,
        run_id=run_id,
        tenant_id=claim.tenant_id,
        rows_in=counts.rows_in,
        rows_out=counts.rows_out,
        rows_failed=counts.rows_failed,
    )
    await conn.execute(INSERT_ATTEMPT, *values)
    for number, each in enumerate(outputs, 1):
        part = each.part
        values = in_order(
            INSERT_OUTPUT,
            execution_id=claim.id,
            lease_token=claim.lease_token,
            number=number,
            run_id=run_id,
            tenant_id=claim.tenant_id,
            sha256=part.sha256,
            raw_bytes=part.raw_bytes,
            stored_bytes=part.stored_bytes,
            index_bytes=part.index_bytes,
            lines=part.lines,
            records=part.records,
            missing_keys=part.missing_keys,
            duplicates=part.duplicates,
            ends_line=part.ends_line,
            blob_key=each.keys.blob,
            index_key=each.keys.index if part.index_bytes else None,
        )
        await conn.execute(INSERT_OUTPUT, *values)


class StoredError(Struct, frozen=True, kw_only=True):
    """A record that failed: its line, the error as ASCII JSON, and its bytes if they are kept."""

    line: int
    error: bytes
    record: bytes | None


INSERT_ERRORS = """
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS execution_id,
           $2::bigint AS lease_token,
           $3::uuid AS run_id,
           $4::uuid AS tenant_id,
           $5::integer AS after,
           $6::bigint[] AS lines,
           $7::bytea[] AS errors,
           $8::bytea[] AS records
)
INSERT INTO run_errors
       (execution_id, lease_token, number, run_id, tenant_id, line, error, record)
SELECT p.execution_id, p.lease_token, p.after + e.number, p.run_id, p.tenant_id, e.line, e.error,
       e.record
FROM parameters AS p,
     unnest(p.lines, p.errors, p.records) WITH ORDINALITY AS e (line, error, record, number)
ON CONFLICT (execution_id, lease_token, number) DO NOTHING
"""


async def insert_errors(
    conn: Connection, claim: Claim, run_id: UUID, after: int, errors: Sequence[StoredError]
) -> None:
    """Store failed records of an attempt, numbered after the first `after` of them."""
    values = in_order(
        INSERT_ERRORS,
        execution_id=claim.id,
        lease_token=claim.lease_token,
        run_id=run_id,
        tenant_id=claim.tenant_id,
        after=after,
        lines=[each.line for each in errors],
        errors=[each.error for each in errors],
        records=[each.record for each in errors],
    )
    await conn.execute(INSERT_ERRORS, *values)
