"""Flows of exports: a snapshot as Parquet files."""

from collections.abc import Callable
from typing import Final, TypeAlias
from uuid import UUID

from crivo.bodies import Body, encode
from crivo.errors import ExportCancelled, ExportFailed, NotFinished
from crivo.export_models import BadRowInfo, Export, ExportFile, Manifest, QueuedExport
from crivo.models import Page
from crivo.options import ExportFilter, ExportOptions, as_query
from crivo.retries import Flow
from crivo.session import Session
from crivo.waits import ACCEPTANCE_SECONDS, wait_for_end
from crivo.wire import Request, path_segments, segment

OnProgress: TypeAlias = Callable[[Export], None]

_JSON: Final = {"Content-Type": "application/json"}


def create(session: Session, dataset: str, *, options: ExportOptions) -> Flow[QueuedExport]:
    """Ask for an export; it is stored when this returns."""
    document = {"dataset": dataset, **options}
    document.pop("idempotency_key", None)
    request = Request(
        method="POST",
        path="/exports",
        headers=_JSON,
        body=Body(encode(document)),
        creates=True,
        key=options.get("idempotency_key"),
        wait=ACCEPTANCE_SECONDS,
    )
    return (yield from session.fetch(request, QueuedExport))


def show(session: Session, export: UUID | str) -> Flow[Export]:
    """Show an export as it is."""
    return (yield from session.get(path_of(export), Export))


def wait(
    session: Session, export: UUID | str, *, timeout: float | None, on_progress: OnProgress | None
) -> Flow[Export]:
    """Wait until an export has finished. Raises NotFinished after `timeout` seconds."""
    found = yield from wait_for_end(
        session, path_of(export), Export, timeout=timeout, on_state=on_progress
    )
    if not found.is_final:
        done = f"{found.progress.tasks_done} of {found.progress.tasks} tasks"
        message = f"export {export} has finished {done} of stage {found.progress.stage}"
        raise NotFinished(f"{message} after {timeout:g} s", found)
    return found


def require_success(export: Export) -> None:
    """Raise the error of a finished export that has not succeeded."""
    if export.status == "failed":
        raise ExportFailed(export)
    if export.status == "cancelled":
        raise ExportCancelled(export)


def exports_page(
    session: Session, cursor: str | None, *, size: int, filters: ExportFilter
) -> Flow[Page[Export]]:
    """Show one page of the exports, newest first."""
    query = as_query({"cursor": cursor, "limit": size, **filters})
    return (yield from session.get("/exports", Page[Export], query))


def cancel(session: Session, export: UUID | str) -> Flow[Export]:
    """Cancel an export. Raises Conflict if it has finished."""
    return (
        yield from session.fetch(Request(method="POST", path=path_of(export, "cancel")), Export)
    )


def files_page(
    session: Session, export: UUID | str, cursor: str | None, *, size: int
) -> Flow[Page[ExportFile]]:
    """Show one page of the files, by path."""
    query = as_query({"cursor": cursor, "limit": size})
    return (yield from session.get(path_of(export, "files"), Page[ExportFile], query))


def errors_page(
    session: Session, export: UUID | str, cursor: str | None, *, size: int, excerpt: bool
) -> Flow[Page[BadRowInfo]]:
    """Show one page of the rows that were not exported, in the order of the input."""
    query = as_query({"cursor": cursor, "limit": size, "excerpt": excerpt or None})
    return (yield from session.get(path_of(export, "errors"), Page[BadRowInfo], query))


def ddl(
    session: Session, export: UUID | str, dialect: str, *, name: str | None, location: str | None
) -> Flow[str]:
    """Show the statements that create a table of the files, and add its partitions."""
    query = as_query({"dialect": dialect, "name": name, "location": location})
    request = Request(
        method="GET", path=path_of(export, "ddl"), query=query, headers={"Accept": "*/*"}
    )
    return (yield from session.deliver(request)).content.decode()


def manifest(session: Session, export: UUID | str) -> Flow[Manifest]:
    """Show all files of an export. Raises Conflict if it has not finished."""
    return (yield from session.get(path_of(export, "manifest"), Manifest))


def path_of(export: UUID | str, part: str = "") -> str:
    """Return the path of an export, or of a part of it."""
    path = f"/exports/{segment(export)}"
    return f"{path}/{part}" if part else path


def path_of_file(export: UUID | str, path: str) -> str:
    """Return the path of a file's bytes."""
    return path_of(export, f"files/{path_segments(path)}")
