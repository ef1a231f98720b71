"""Select the failed records of a run, in the order of its input."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from app.datasets.parts import PartRef
from app.db import Connection
from app.limits import EXCERPT_BYTES
from app.runs.refs import ErrorPosition
from app.sandbox.parts import Task
from app.sql_parameters import in_order


class StoredLine(Struct, frozen=True, kw_only=True):
    """Where a line of the input is: a part of the dataset, and the lines of it before that one."""

    part: PartRef
    lines_before: int


class FoundError(Struct, frozen=True, kw_only=True):
    """A failed record: its place, its error as ASCII JSON, and what is left of its line.

    `record` is the beginning of what the run has kept, `stored` where else the line is.
    """

    position: ErrorPosition
    path: str | None
    error: bytes
    execution: UUID
    redrive: UUID | None
    moved_at: datetime | None
    record: bytes | None
    stored: StoredLine | None


# Of parts whose outcome is recorded. The part of the dataset is found among the few that the run's
# part has read.
SELECT_ERRORS = f"""
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS run_id,
           $3::boolean AS with_excerpts,
           $4::integer AS part,
           $5::bigint AS line,
           $6::text AS task,
           $7::integer AS number
)
SELECT p.number AS part, x.line, p.task, x.number, f.path, x.error, x.execution_id,
       x.redrive_id, x.moved_at,
       CASE WHEN parameters.with_excerpts THEN substring(x.record FOR {EXCERPT_BYTES}) END
           AS record,
       q.blob_key, q.raw_bytes, q.stored_bytes, q.first_line
FROM parameters
JOIN run_parts AS p
  ON p.tenant_id = parameters.tenant_id AND p.run_id = parameters.run_id AND p.level = 0
 AND p.lease_token IS NOT NULL
JOIN run_errors AS x
  ON x.tenant_id = p.tenant_id AND x.execution_id = p.execution_id
 AND x.lease_token = p.lease_token
LEFT JOIN dataset_files AS f ON f.tenant_id = p.tenant_id AND f.id = p.file_id
LEFT JOIN LATERAL (
    SELECT d.blob_key, d.raw_bytes, d.stored_bytes, d.first_line
    FROM dataset_parts AS d
    WHERE parameters.with_excerpts AND x.record IS NULL
      AND d.tenant_id = p.tenant_id AND d.file_id = p.file_id
      AND d.number BETWEEN p.first_part AND p.last_part AND d.first_line < x.line
    ORDER BY d.number DESC
    LIMIT 1
) AS q ON true
WHERE p.number >= parameters.part
  AND (p.number, x.line, p.task, x.number)
    > (parameters.part, parameters.line, parameters.task, parameters.number)
ORDER BY p.number, x.line, p.task, x.number
LIMIT $8
"""  # noqa: S608 - put together from constants


async def select_errors(
    conn: Connection,
    tenant: UUID,
    run_id: UUID,
    *,
    after: ErrorPosition,
    limit: int,
    with_excerpts: bool,
) -> list[FoundError]:
    """List failed records after a position; with excerpts also where their lines are."""
    values = in_order(
        SELECT_ERRORS,
        tenant_id=tenant,
        run_id=run_id,
        with_excerpts=with_excerpts,
        part=after.part,
        line=after.line,
        task=after.task,
        number=after.number,
        limit=limit,
    )
    return [_found(dict(row)) for row in await conn.fetch(SELECT_ERRORS, *values)]


def _found(row: Mapping[str, Any]) -> FoundError:
    return FoundError(
        position=ErrorPosition(
            part=row["part"], line=row["line"], task=Task(row["task"]), number=row["number"]
        ),
        path=row["path"],
        error=row["error"],
        execution=row["execution_id"],
        redrive=row["redrive_id"],
        moved_at=row["moved_at"],
        record=row["record"],
        stored=stored_line(row),
    )


def stored_line(row: Mapping[str, Any]) -> StoredLine | None:
    """Return the place of a record's line; None if its file is deleted."""
    if row["blob_key"] is None:
        return None
    part = PartRef(
        blob_key=row["blob_key"], raw_bytes=row["raw_bytes"], stored_bytes=row["stored_bytes"]
    )
    return StoredLine(part=part, lines_before=row["line"] - 1 - row["first_line"])
