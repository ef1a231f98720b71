"""Select the rows that an export went on without, in the order of its input."""

from uuid import UUID

from msgspec import Struct

from app.db import Connection
from app.exports.refs import ErrorPosition
from app.limits import EXCERPT_BYTES
from app.sql_parameters import in_order


class FoundRow(Struct, frozen=True, kw_only=True):
    """A bad row: its place, its error as ASCII JSON, and the beginning of its bytes on request."""

    position: ErrorPosition
    path: str
    line: int
    error: bytes
    record: bytes | None


# Of attempts that count, in the order of an index: a page reads no more tasks than it needs, and of
# each no more rows.
SELECT_ERRORS = f"""
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS export_id,
           $3::boolean AS with_excerpts,
           $4::integer AS task,
           $5::text AS stage,
           $6::integer AS number,
           $7::integer AS rows_of_task
)
SELECT t.number AS task, t.stage, x.number, x.path, x.line, x.error,
       CASE WHEN parameters.with_excerpts THEN substring(x.record FOR {EXCERPT_BYTES}) END
           AS record
FROM parameters
JOIN export_tasks AS t
  ON t.tenant_id = parameters.tenant_id AND t.export_id = parameters.export_id
 AND t.done_token IS NOT NULL AND (t.stage, t.number) >= (parameters.stage, parameters.task)
CROSS JOIN LATERAL (
    SELECT e.number, e.path, e.line, e.error, e.record
    FROM export_errors AS e
    WHERE e.tenant_id = t.tenant_id AND e.export_id = t.export_id AND e.lease_token = t.done_token
      AND e.number > CASE WHEN (t.stage, t.number) = (parameters.stage, parameters.task)
                          THEN parameters.number ELSE 0 END
    ORDER BY e.number
    LIMIT parameters.rows_of_task
) AS x
ORDER BY t.stage, t.number, x.number
LIMIT $8
"""  # noqa: S608 - put together from constants


async def select_errors(
    conn: Connection,
    tenant: UUID,
    export_id: UUID,
    *,
    after: ErrorPosition,
    limit: int,
    with_excerpts: bool,
) -> list[FoundRow]:
    """List bad rows after a position."""
    values = in_order(
        SELECT_ERRORS,
        tenant_id=tenant,
        export_id=export_id,
        with_excerpts=with_excerpts,
        task=after.task,
        stage=after.stage,
        number=after.number,
        rows_of_task=limit,
        limit=limit,
    )
    return [
        FoundRow(
            position=ErrorPosition(task=row["task"], stage=row["stage"], number=row["number"]),
            path=row["path"],
            line=row["line"],
            error=row["error"],
            record=row["record"],
        )
        for row in await conn.fetch(SELECT_ERRORS, *values)
    ]
