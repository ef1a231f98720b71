"""List the records that a run went on without, with the beginnings of their lines on request."""

from contextlib import aclosing
from uuid import UUID

from msgspec import UNSET, Raw, UnsetType

from app.blobs import BlobMissing
from app.datasets.parts import ObjectCache, read_lines
from app.pagination import Page, Paginator
from app.quotas.turns import TenantTurns
from app.resources import Resources
from app.runs.error_store import FoundError, select_errors
from app.runs.excerpts import excerpt_of
from app.runs.model import FailedRecord
from app.runs.problems import run_not_found
from app.runs.refs import ErrorPosition, parse_position
from app.runs.store import select_status
from app.sandbox.parts import Task


async def list_failed_records(
    resources: Resources, tenant: UUID, run_id: UUID, *, cursor: str | None, limit: int
) -> Page[FailedRecord]:
    """Return a page of failed records. Raises RunNotFound, InvalidRequest."""
    found = await _find(resources, tenant, run_id, cursor, limit, excerpts=False)
    items = [_record(each) for each in found.items]
    return Page(items=items, next_cursor=found.next_cursor)


async def list_with_excerpts(
    resources: Resources,
    cache: ObjectCache,
    turns: TenantTurns,
    tenant: UUID,
    run_id: UUID,
    *,
    cursor: str | None,
    limit: int,
) -> Page[FailedRecord]:
    """Return a page as `list_failed_records` does, with excerpts, read a few lines at a time.

    Raises what that raises, and BlobsUnavailable, ObjectDamaged.
    """
    found = await _find(resources, tenant, run_id, cursor, limit, excerpts=True)
    async with turns.turn(tenant):
        items = [_record(each, excerpt=await _excerpt(cache, each)) for each in found.items]
    return Page(items=items, next_cursor=found.next_cursor)


async def _find(
    resources: Resources,
    tenant: UUID,
    run_id: UUID,
    cursor: str | None,
    limit: int,
    *,
    excerpts: bool,
) -> Page[FoundError]:
    paginator = Paginator("failed-records", run_id)
    after = ErrorPosition()
    if cursor is not None:
        after = parse_position(paginator.position(cursor), cursor)
    async with resources.pool.acquire() as conn:
        found = await select_errors(
            conn, tenant, run_id, after=after, limit=limit + 1, with_excerpts=excerpts
        )
        if not found and await select_status(conn, tenant, run_id) is None:
            raise run_not_found(run_id)
    positions = [each.position.encode() for each in found]
    return paginator.page_by_position(found, positions, limit=limit)


def _record(found: FoundError, *, excerpt: str | UnsetType = UNSET) -> FailedRecord:
    return FailedRecord(
        path=found.path,
        line=found.position.line,
        task=Task(found.position.task),
        error=Raw(found.error),
        execution=found.execution,
        redrive=found.redrive,
        moved_at=found.moved_at,
        excerpt=excerpt,
    )


async def _excerpt(cache: ObjectCache, found: FoundError) -> str | UnsetType:
    """Return the beginning of a line; UNSET if it is deleted, as files of old snapshots are."""
    if found.record is not None:
        return excerpt_of(found.record)
    if found.stored is None:
        return UNSET
    try:
        lines = read_lines(cache, found.stored.part, found.stored.lines_before, 1)
        async with aclosing(lines) as only:
            async for line in only:
                return excerpt_of(line)
    except BlobMissing:
        pass
    return UNSET
