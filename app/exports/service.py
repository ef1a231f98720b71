"""Show, list and cancel exports, and find their files, manifests and tables."""

import re
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial
from typing import Final
from uuid import UUID

import structlog
from msgspec.structs import replace

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller, reauthorize_before_commit
from app.check_turns import check_turn
from app.datasets import service as datasets
from app.datasets.refs import parse_ref
from app.errors import clipped, invalid_parameter
from app.exports import ending, file_store, store, table_store
from app.exports.ddl import TableSql, statements, table_over
from app.exports.manifests import manifest_chunks
from app.exports.model import (
    Export,
    ExportFile,
    ExportFilter,
    ExportStatus,
)
from app.exports.output import one_state, pages_of, require_files_kept, require_output
from app.exports.problems import (
    ExportFileNotFound,
    ExportFinished,
    NoExportTable,
    export_not_found,
    export_publishing,
)
from app.exports.script_store import find_unfinished_run
from app.exports.table_store import Table
from app.pagination import Page, Paginator
from app.payloads.model import StoredPayload
from app.resources import Resources
from app.runs import service as runs
from app.runs.problems import RunFinished, RunNotFound
from app.schemas.ddl import BadOption, NoType
from app.schemas.threads import in_describing_thread
from app.wording import printable

log = structlog.get_logger(__name__)

_NOT_PLAIN: Final = re.compile(r"[^a-z0-9_]")


async def show(
    resources: Resources, tenant: UUID, export_id: UUID, *, is_single: bool = True
) -> Export:
    """Return an export in its current state; `is_single`: with its partitions and receipt.

    Raises ExportNotFound.
    """
    async with resources.pool.acquire() as conn:
        export = await store.select_export(conn, tenant, export_id, is_single=is_single)
    if export is None:
        raise export_not_found(export_id)
    return export


async def list_exports(
    resources: Resources,
    tenant: UUID,
    wanted: ExportFilter,
    *,
    dataset: str | None,
    cursor: str | None,
    limit: int,
) -> Page[Export]:
    """Return a page of exports, newest first; `dataset` is a reference.

    A dataset or snapshot that is deleted matches its exports. Raises InvalidRequest;
    DatasetNotFound and SnapshotNotFound if there is no export of it either.
    """
    paginator = Paginator("exports", wanted, dataset)
    below = paginator.below(cursor)
    ref = None if dataset is None else parse_ref(dataset)
    if ref is not None:
        wanted = replace(wanted, dataset=ref.name, snapshot=ref.snapshot)
    async with resources.pool.acquire() as conn:
        exports = await store.select_export_page(conn, tenant, wanted, below=below, limit=limit + 1)
        if ref is not None and cursor is None and not exports:
            await datasets.require(conn, tenant, ref)
    return paginator.page(exports, [export.id for export in exports], limit=limit)


async def cancel(resources: Resources, caller: Caller, export_id: UUID) -> Export:
    """Cancel an export in one transaction. Repeating it changes nothing.

    Raises ExportNotFound, ExportFinished; ExportPublishing once its destination is changed.
    """
    before = await show(resources, caller.tenant, export_id, is_single=False)
    if not before.status.final:
        ended = None
        async with resources.pool.acquire() as conn, conn.transaction():
            unfinished = await ending.lock_unfinished(conn, caller.tenant, export_id)
            if unfinished is not None:
                if unfinished.publishing_at is not None:
                    raise export_publishing(export_id)
                ended = await ending.end(conn, caller.tenant, export_id, ExportStatus.CANCELLED)
                details = {"status": before.status, "tasks_done": before.progress.tasks_done}
                target = f"/exports/{export_id}"
                await log_action(conn, caller, Action.EXPORT_CANCELLED, target, details=details)
                await reauthorize_before_commit(caller)
        if ended is not None:
            await ending.after_commit(resources, ended)
            await _cancel_run(resources, caller, export_id)
            log.info("export.cancelled", id=str(export_id))
    export = await show(resources, caller.tenant, export_id)
    if export.status is not ExportStatus.CANCELLED:
        raise ExportFinished(
            f"the export has {export.status}; GET /exports/{export_id} shows its outcome"
        )
    return export


async def _cancel_run(resources: Resources, caller: Caller, export_id: UUID) -> None:
    """Cancel the run of an export's script; what it makes is of no use any more."""
    async with resources.pool.acquire() as conn:
        run_id = await find_unfinished_run(conn, caller.tenant, export_id)
    if run_id is not None:
        # It may end meanwhile, or expire.
        with suppress(RunFinished, RunNotFound):
            await runs.cancel(resources, caller, run_id)


async def list_files(
    resources: Resources, tenant: UUID, export_id: UUID, *, cursor: str | None, limit: int
) -> Page[ExportFile]:
    """Return a page of the published files, by path.

    Raises ExportNotFound, ExportFilesDeleted, InvalidRequest.
    """
    paginator = Paginator("export-files", export_id)
    after = paginator.after(cursor)
    async with resources.pool.acquire() as conn, one_state(conn):
        await require_files_kept(conn, tenant, export_id)
        files = await file_store.select_file_page(
            conn, tenant, export_id, after=after, limit=limit + 1
        )
    return paginator.page_by_name(files, [each.path for each in files], limit=limit)


async def find_file(
    resources: Resources, tenant: UUID, export_id: UUID, path: str
) -> StoredPayload:
    """Find a published file that is kept here.

    Raises ExportNotFound, ExportFilesDeleted, ExportFileNotFound.
    """
    async with resources.pool.acquire() as conn:
        # No text in PostgreSQL has a NUL.
        is_text = "\0" not in path
        found = await file_store.select_file(conn, tenant, export_id, path) if is_text else None
        if found is None:
            await require_files_kept(conn, tenant, export_id)
    if found is None:
        raise ExportFileNotFound(
            f"the export has no file {clipped(path)!r}; GET /exports/{export_id}/files lists them"
        )
    if found.stored is None:
        message = f"the file is at the destination of the export, {found.destination}"
        raise ExportFileNotFound(f"{message}, and not kept here")
    return found.stored


async def write_manifest(
    resources: Resources, tenant: UUID, export_id: UUID
) -> AsyncGenerator[bytes, None]:
    """Return all files of an export, as the JSON of a Manifest.

    Raises ExportNotFound, ExportNotFinished, NoExportOutput, ExportFilesDeleted.
    """
    async with resources.pool.acquire() as conn, one_state(conn):
        await require_output(conn, tenant, export_id)
        head = await file_store.read_manifest(conn, tenant, export_id)
    assert head is not None  # noqa: S101 - of the same state
    pages = pages_of(resources, tenant, export_id, file_store.select_manifest_page)
    return manifest_chunks(head, pages)


async def write_table(
    resources: Resources,
    caller: Caller,
    export_id: UUID,
    *,
    dialect: str,
    name: str | None,
    location: str | None,
) -> AsyncGenerator[bytes, None]:
    """Return the SQL of a table over the files of an export, as UTF-8.

    Raises ExportNotFound, ExportNotFinished, NoExportOutput, ExportFilesDeleted, InvalidRequest,
    NoExportTable, CheckBusy, TooManyChecks.
    """
    async with resources.pool.acquire() as conn, one_state(conn):
        await require_output(conn, caller.tenant, export_id)
        table = await table_store.select_table(conn, caller.tenant, export_id)
    assert table is not None  # noqa: S101 - of the same state
    make = partial(_table, table, dialect=dialect, name=name, location=location)
    async with check_turn(resources, caller):
        sql = await in_describing_thread(make)
    pages = partial(pages_of, resources, caller.tenant, export_id)
    texts = statements(
        sql,
        full=partial(pages, table_store.select_folders),
        emptied=partial(pages, table_store.select_emptied_folders),
    )
    return (text.encode() async for text in texts)


def _table(table: Table, *, dialect: str, name: str | None, location: str | None) -> TableSql:
    place = location or table.destination
    if place is None:
        raise invalid_parameter(
            "location", "is missing: the files are kept here, so say where you put them"
        )
    try:
        return table_over(
            table,
            dialect=dialect,
            name=_NOT_PLAIN.sub("_", table.dataset) if name is None else name,
            location=place,
        )
    except BadOption as bad:
        raise invalid_parameter(bad.option, bad.message) from None
    except NoType as problem:
        pointer, message = printable(problem.pointer), printable(problem.message)
        errors = [{"pointer": pointer, "message": message}]
        raise NoExportTable(f"{pointer or 'the export'}: {message}", errors=errors) from None
