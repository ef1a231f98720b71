"""List the rows that an export went on without, with their beginnings on request."""

from uuid import UUID

from msgspec import UNSET, Raw

from app.exports.error_store import FoundRow, select_errors
from app.exports.model import BadRowInfo
from app.exports.problems import export_errors_deleted, export_not_found
from app.exports.refs import ErrorPosition, parse_position
from app.exports.store import select_output
from app.pagination import Page, Paginator
from app.resources import Resources
from app.runs.excerpts import excerpt_of


async def list_bad_rows(
    resources: Resources,
    tenant: UUID,
    export_id: UUID,
    *,
    with_excerpts: bool,
    cursor: str | None,
    limit: int,
) -> Page[BadRowInfo]:
    """Return a page of bad rows.

    Raises ExportNotFound, ExportErrorsDeleted, InvalidRequest.
    """
    paginator = Paginator("bad-rows", export_id)
    after = ErrorPosition()
    if cursor is not None:
        after = parse_position(paginator.position(cursor), cursor)
    async with resources.pool.acquire() as conn:
        found = await select_errors(
            conn, tenant, export_id, after=after, limit=limit + 1, with_excerpts=with_excerpts
        )
        output = await select_output(conn, tenant, export_id)
    if output is None:
        raise export_not_found(export_id)
    # All are deleted at once.
    if not found and output.errors_deleted_at is not None:
        raise export_errors_deleted(output.errors_deleted_at)
    positions = [each.position.encode() for each in found]
    items = [_info(each, of_script=output.has_script) for each in found]
    return paginator.page_by_position(items, positions, limit=limit)


def _info(found: FoundRow, *, of_script: bool) -> BadRowInfo:
    return BadRowInfo(
        path=found.path,
        line=UNSET if of_script else found.line,
        record=found.line if of_script else UNSET,
        error=Raw(found.error),
        # A record has bytes; where none were kept there is no excerpt.
        excerpt=excerpt_of(found.record) if found.record else UNSET,
    )
