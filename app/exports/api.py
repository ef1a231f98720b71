"""HTTP routes of exports."""

from collections.abc import AsyncGenerator
from uuid import UUID

from litestar import MediaType, Response, Router, post
from litestar.response import Stream
from litestar.types import ASGIApp

from app.auth.callers import Caller
from app.auth.event_tokens import EventsToken
from app.auth.model import Scope
from app.executions.labels import labels_in_query
from app.exports import bad_rows, reference, responses, service, submissions
from app.exports.model import BadRowInfo, Export, ExportFile, ExportFilter, QueuedExport
from app.exports.refs import parse_export_id
from app.exports.requests import CreateExport
from app.http.authorization import needs, takes_token
from app.http.bodies import AnyRequest, parse_datetime, read_json, read_query
from app.http.idempotency import idempotency_key_of
from app.http.methods import get, is_head
from app.http.raw_paths import path_after
from app.http.sse import MEDIA_TYPE as EVENT_STREAM
from app.idempotency.model import Repeated
from app.limits import MAX_EXPORT_BODY_BYTES
from app.pagination import Page, PageQuery
from app.payloads.downloads import begin_download
from app.payloads.reader import single_chunk
from app.payloads.responses import respond_with_payload
from app.progress.reference import EventsQuery
from app.progress.responses import (
    respond_to_repetition,
    respond_to_submission,
    respond_with_events,
    respond_with_events_token,
    respond_with_resource,
)
from app.progress.waiters import WaiterRegistry
from app.resources import Resources


@post(
    "/exports",
    status_code=202,
    operation_class=reference.CREATE_EXPORT,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def create_export(
    request: AnyRequest, resources: Resources, waiters: WaiterRegistry, caller: Caller
) -> Response[QueuedExport | Export]:
    """Export a dataset as Parquet files.

    Of the records with one key the last version is kept, in folders by time and values, as Hive
    has them. Columns have the types of the dataset's schema, those asked for, or inferred ones.
    The snapshot is the one that the reference names now. A `script` maps the records first, which
    also takes the scope `datasets:write`. The response comes as soon as the export
    is committed; poll it, or follow its events. With `Prefer: wait=30` it comes when the export
    has finished, and holds it, or after that many seconds.
    """
    key = idempotency_key_of(request)
    wanted = await read_json(request, CreateExport, max_bytes=MAX_EXPORT_BODY_BYTES)
    try:
        queued = await submissions.create(resources, caller, wanted, key=key)
    except Repeated as earlier:
        progress = responses.progress_of(resources, caller.tenant, UUID(earlier.resource))
        return await respond_to_repetition(
            request, waiters, progress, queued_as=responses.queued_as
        )
    progress = responses.progress_of(resources, caller.tenant, queued.id)
    return await respond_to_submission(
        request, waiters, progress, queued, queued_as=responses.queued_as
    )


@get("/exports", operation_class=reference.LIST_EXPORTS, **needs(Scope.READ))
async def list_exports(request: AnyRequest, resources: Resources, tenant: UUID) -> Page[Export]:
    """List exports.

    Newest first, a page at a time, without columns, partitions and receipts. An export is listed if
    it matches every filter. A `dataset` that is deleted is a 404 once no export of it matches.
    Times are RFC 3339 with an offset, such as `2026-01-31T12:00:00Z`.
    """
    choices = read_query(request, reference.ExportListQuery, many=("label",))
    return await service.list_exports(
        resources,
        tenant,
        ExportFilter(
            status=choices.status or None,
            labels=labels_in_query(choices.label or []),
            created_from=parse_datetime("created_from", choices.created_from),
            created_before=parse_datetime("created_before", choices.created_before),
        ),
        dataset=choices.dataset or None,
        cursor=choices.cursor or None,
        limit=choices.limit,
    )


@get("/exports/{export:str}", operation_class=reference.SHOW_EXPORT, **needs(Scope.READ))
async def show_export(
    export: str, request: AnyRequest, resources: Resources, waiters: WaiterRegistry, tenant: UUID
) -> Response[Export]:
    """Show an export.

    Its progress and counts, and at its end its partitions and receipt, or the error. Poll until
    `finished_at` is set, preferably with `?wait=30`: the response then comes when the export has
    finished, or after that many seconds.
    """
    choices = read_query(request, reference.ExportQuery)
    progress = responses.progress_of(resources, tenant, parse_export_id(export))
    return await respond_with_resource(request, waiters, tenant, progress, wait=choices.wait)


@post(
    "/exports/{export:str}/cancel",
    status_code=200,
    operation_class=reference.CANCEL_EXPORT,
    **needs(Scope.WRITE_EXECUTIONS),
)
async def cancel_export(export: str, resources: Resources, caller: Caller) -> Export:
    """Cancel an export.

    Once the response is sent, any later report of a worker is refused, and nothing is published.
    Cancelling it again changes nothing. A finished export is a 409, and so is one whose destination
    is being changed.
    """
    return await service.cancel(resources, caller, parse_export_id(export))


@get(
    "/exports/{export:str}/files",
    operation_class=reference.LIST_EXPORT_FILES,
    **needs(Scope.READ),
)
async def list_export_files(
    export: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Page[ExportFile]:
    """List the files of an export.

    Those that are published, by path, a page at a time: rows, bytes and digest of each, and the
    address that it is downloaded from if its bytes are kept here. A 410 once files were deleted, by
    age or by a later export to the destination.
    """
    choices = read_query(request, PageQuery)
    return await service.list_files(
        resources,
        tenant,
        parse_export_id(export),
        cursor=choices.cursor or None,
        limit=choices.limit,
    )


@get(
    "/exports/{export:str}/files/{path:path}",
    media_type=reference.PARQUET,
    operation_class=reference.SHOW_EXPORT_FILE,
    **needs(Scope.READ),
)
async def show_export_file(
    export: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Response[bytes] | Stream:
    """Download a file of an export.

    With `Range`, one range of it. The path is that of the list, percent-encoded.
    """
    path = path_after(request, names=3)
    stored = await service.find_file(resources, tenant, parse_export_id(export), path)
    return await respond_with_payload(
        request, resources.blobs, stored, media_type=reference.PARQUET
    )


@get(
    "/exports/{export:str}/errors",
    operation_class=reference.LIST_EXPORT_ERRORS,
    **needs(Scope.READ),
)
async def list_export_errors(
    export: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Page[BadRowInfo]:
    """List the bad rows of an export.

    Those that the export went on without, in the order of the input, a page at a time: file, line
    and error of each. `excerpt=true` adds the beginning of the row. The rows of a task are listed
    once it has succeeded. A 410 once they were deleted, by age.
    """
    choices = read_query(request, reference.BadRowsQuery)
    return await bad_rows.list_bad_rows(
        resources,
        tenant,
        parse_export_id(export),
        with_excerpts=choices.excerpt,
        cursor=choices.cursor or None,
        limit=choices.limit,
    )


@get(
    "/exports/{export:str}/manifest",
    operation_class=reference.SHOW_EXPORT_MANIFEST,
    **needs(Scope.READ),
)
async def show_export_manifest(
    export: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Stream:
    """Show the manifest of an export.

    All of its files with their digests, its columns, its input and what became of the rows: the
    same document as at a destination.
    """
    chunks = await service.write_manifest(resources, tenant, parse_export_id(export))
    return await _streamed(request, chunks, media_type=MediaType.JSON)


@get(
    "/exports/{export:str}/ddl",
    media_type=reference.SQL,
    operation_class=reference.SHOW_EXPORT_TABLE,
    **needs(Scope.READ),
)
async def show_export_table(
    export: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Stream:
    """Show an export as a table.

    Returns SQL: for Athena and Hive `CREATE EXTERNAL TABLE IF NOT EXISTS` with all columns as
    written, and `ALTER TABLE … ADD IF NOT EXISTS`, each with up to 100 partitions; for DuckDB a
    view over the files. Of an export that continues others, `ALTER TABLE … DROP IF EXISTS` follows
    for the partitions that have no files any more, up to 25 in each. Comments say how many
    partitions no statement can name, such as those of null and with a quote.
    """
    query = read_query(request, reference.ExportTableQuery)
    chunks = await service.write_table(
        resources,
        caller,
        parse_export_id(export),
        dialect=query.dialect,
        name=query.name or None,
        location=query.location or None,
    )
    headers = {"X-Content-Type-Options": "nosniff"}
    return await _streamed(request, chunks, media_type=reference.SQL, headers=headers)


@get(
    "/exports/{export:str}/events",
    media_type=EVENT_STREAM,
    operation_class=reference.SHOW_EXPORT_EVENTS,
    **takes_token(needs(Scope.READ)),
)
async def show_export_events(
    export: str, request: AnyRequest, resources: Resources, waiters: WaiterRegistry, tenant: UUID
) -> ASGIApp:
    """Follow an export.

    Server-sent events: a `status` event with the export as it is, others while tasks end, and one
    for the end, after which the stream ends. A client that reconnects with `Last-Event-ID` gets
    the events after that one; after the final event the response is 204. `EventSource` cannot send
    a key: pass a `token` in the address instead.
    """
    read_query(request, EventsQuery)
    progress = responses.progress_of(resources, tenant, parse_export_id(export), is_single=False)
    return await respond_with_events(request, waiters, tenant, progress, responses.EVENTS)


@post(
    "/exports/{export:str}/events-token",
    status_code=201,
    operation_class=reference.CREATE_EXPORT_EVENTS_TOKEN,
    **needs(Scope.READ),
)
async def create_export_events_token(
    export: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Response[EventsToken]:
    """Create a token for the events of an export.

    For `EventSource` in a browser: `…/events?token=` opens the events of this export, and nothing
    else, for 60 s, as `POST /executions/{execution}/events-token` does for an execution.
    """
    export_id = parse_export_id(export)
    await service.show(resources, caller.tenant, export_id, is_single=False)
    return await respond_with_events_token(request, caller, export_id)


async def _streamed(
    request: AnyRequest,
    chunks: AsyncGenerator[bytes, None],
    *,
    media_type: str,
    headers: dict[str, str] | None = None,
) -> Stream:
    """Send what is read a page at a time; what the first chunk raises still has a status."""
    body = await begin_download(request, chunks)
    if is_head(request):
        body = single_chunk(b"")
    return Stream(body, media_type=media_type, headers=headers)


router = Router(
    path="/",
    tags=["exports"],
    route_handlers=[
        create_export,
        list_exports,
        show_export,
        cancel_export,
        list_export_files,
        show_export_file,
        list_export_errors,
        show_export_manifest,
        show_export_table,
        show_export_events,
        create_export_events_token,
    ],
)
