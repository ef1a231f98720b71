"""Read what an export has published: all of it, or say that it is not there."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, TypeVar
from uuid import UUID

from app.db import Connection
from app.exports import store
from app.exports.model import ExportStatus
from app.exports.problems import (
    NoExportOutput,
    export_files_deleted,
    export_not_finished,
    export_not_found,
)
from app.resources import Resources

# Some hundred bytes each: a page takes the event loop some milliseconds.
_PAGE: Final = 1_000


class _Placed(Protocol):
    @property
    def path(self) -> str: ...


T_co = TypeVar("T_co", bound=_Placed, covariant=True)


class SelectPage(Protocol[T_co]):
    """Lists what comes after a path, in the order of paths."""

    async def __call__(
        self, conn: Connection, tenant: UUID, export_id: UUID, *, after: str, limit: int
    ) -> Sequence[T_co]:
        """Return a page; an empty one is the end."""


def one_state(conn: Connection) -> AbstractAsyncContextManager[None]:
    """Begin a transaction whose statements see one state of the export."""
    return conn.transaction(isolation="repeatable_read", readonly=True)


async def require_output(conn: Connection, tenant: UUID, export_id: UUID) -> None:
    """Require that an export has all of its files.

    Raises ExportNotFound, ExportNotFinished, NoExportOutput, ExportFilesDeleted.
    """
    status = await require_files_kept(conn, tenant, export_id)
    if not status.final:
        raise export_not_finished(export_id, status)
    if status is not ExportStatus.SUCCEEDED:
        how = "was cancelled" if status is ExportStatus.CANCELLED else "has failed"
        raise NoExportOutput(f"the export {how}; GET /exports/{export_id} says why")


async def require_files_kept(conn: Connection, tenant: UUID, export_id: UUID) -> ExportStatus:
    """Return the status of an export whose files, if it has any, are there.

    Raises ExportNotFound, ExportFilesDeleted.
    """
    output = await store.select_output(conn, tenant, export_id)
    if output is None:
        raise export_not_found(export_id)
    if output.files_deleted_at is not None:
        raise export_files_deleted(output.files_deleted_at)
    return output.status


async def pages_of(
    resources: Resources, tenant: UUID, export_id: UUID, select: SelectPage[T_co]
) -> AsyncIterator[Sequence[T_co]]:
    """Yield what a succeeded export has, a page at a time; no connection is held in between.

    Files are deleted all at once, and no more are published: either the pages have all of them, or
    what `require_output` raises ends them.
    """
    after = ""
    while True:
        async with resources.pool.acquire() as conn, one_state(conn):
            await require_output(conn, tenant, export_id)
            page = await select(conn, tenant, export_id, after=after, limit=_PAGE)
        if not page:
            return
        yield page
        after = page[-1].path
