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


# Of attempts that count.
SELECT_ERRORS = f"""
WITH parameters AS NOT MATERIALIZED (
    SELECT $1::uuid AS tenant_id,
           $2::uuid AS export_id,
           $3::boolean AS with_excerpts,
           $4::integer AS task,
           $5::text AS stage,
           $6::integer AS number
)
SELECT t.number AS task, t.stage, x.number, x.path, x.line, x.error,
       CASE WHEN parameters.with_excerpts THEN substring(x.record FOR {EXCERPT_BYTES}) END
           AS record
FROM parameters
JOIN export_tasks AS t
  ON t.tenant_id = parameters.tenant_id AND t.export_id = parameters.export_id
 AND t.done_token IS NOT NULL
JOIN export_errors AS x
  ON x.tenant_id = t.tenant_id AND x.export_id = t.export_id AND x.lease_token = t.done_token
WHERE (t.number, t.stage, x.number) > (parameters.task, parameters.stage, parameters.number)
ORDER BY t.number, t.stage, x.number
LIMIT $7
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
