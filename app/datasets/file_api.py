"""HTTP routes of the files of a dataset."""

from typing import Final
from uuid import UUID

from litestar import Response, put
from litestar.response import Stream

from app.auth.callers import Caller
from app.auth.model import Scope
from app.blobs import BlobMissing
from app.datasets import file_reference as reference, file_service
from app.datasets.catalog import Catalogs
from app.datasets.file_store import ByteSpan, StoredFile
from app.datasets.model import File, PublishedFile
from app.datasets.problems import InvalidPart, with_hint
from app.datasets.reference import SnapshotQuery
from app.datasets.refs import parse_name, parse_path, parse_ref
from app.datasets.upload_service import Part
from app.http.authorization import needs
from app.http.bodies import (
    AnyRequest,
    UnsupportedMediaType,
    announced_bytes,
    hint_at_newlines,
    media_type_of,
    read_query,
    stream_body,
)
from app.http.methods import get
from app.http.ranges import plan_bytes
from app.http.raw_paths import path_after
from app.limits import MAX_FILE_BYTES
from app.pagination import Page
from app.payloads.downloads import begin_download
from app.quotas.turns import TenantTurns
from app.resources import Resources

BYTES: Final = "application/octet-stream"


@put(
    "/datasets/{dataset:str}/files/{path:path}",
    request_max_body_size=None,
    status_code=201,
    operation_class=reference.PUT_FILE,
    **needs(Scope.WRITE_DATASETS),
)
async def put_file(
    dataset: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Response[PublishedFile]:
    """Upload a file.

    The body is the file, of any size, as with `curl -T`: it is stored as it arrives, 8 MiB an
    hour at least, and becomes the next snapshot once it is complete, beside the files that the
    dataset has. A file with the same path is replaced. For several files, or to continue after
    an interruption, use an upload (`POST /datasets/{dataset}/uploads`).
    """
    if media_type_of(request) == "multipart/form-data":
        raise UnsupportedMediaType(
            "the body is the file itself, not a form; with curl, use -T file instead of -F"
        )
    part = Part(
        path=parse_path(path_after(request, names=3)),
        number=1,
        data=stream_body(request, max_bytes=MAX_FILE_BYTES, compressed=True, digested=True),
        announced_bytes=announced_bytes(request),
    )
    turns: TenantTurns = request.app.state.part_turns
    try:
        published = await file_service.receive_file(
            resources, caller, parse_name(dataset), part, turns=turns
        )
    except InvalidPart as error:
        raise with_hint(error, hint_at_newlines(request)) from None
    location = f"/datasets/{published.dataset}/snapshots/{published.snapshot.number}"
    return Response(published, status_code=201, headers={"Location": location})


@get("/datasets/{dataset:str}/files", operation_class=reference.LIST_FILES, **needs(Scope.READ))
async def list_files(
    dataset: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Page[File]:
    """List the files of a snapshot.

    By path, in pages. Name the snapshot (`scores@7`, or `?snapshot=7`) to get the same files on
    every page while others publish.
    """
    choices = read_query(request, reference.FileListQuery)
    return await file_service.list_files(
        resources,
        tenant,
        parse_ref(dataset, snapshot=choices.snapshot or None),
        cursor=choices.cursor or None,
        limit=choices.limit,
    )


@get(
    "/datasets/{dataset:str}/files/{path:path}",
    media_type=BYTES,
    operation_class=reference.SHOW_FILE,
    **needs(Scope.READ),
)
async def show_file(
    dataset: str, request: AnyRequest, resources: Resources, catalogs: Catalogs, tenant: UUID
) -> Response[bytes] | Stream:
    """Download a file.

    The bytes as they were sent, decompressed if they were compressed. With `Range`, one range of
    them.
    """
    choices = read_query(request, SnapshotQuery)
    ref = parse_ref(dataset, snapshot=choices.snapshot or None)
    path = parse_path(path_after(request, names=3))
    file = await file_service.find_file(resources, tenant, ref, path)
    try:
        return await _respond(request, resources, catalogs, tenant, file)
    except BlobMissing:
        # Retention may have deleted the file since it was found.
        current = await file_service.find_file(resources, tenant, ref, path)
        if current.id == file.id:
            raise
        return await _respond(request, resources, catalogs, tenant, current)


async def _respond(
    request: AnyRequest, resources: Resources, catalogs: Catalogs, tenant: UUID, file: StoredFile
) -> Response[bytes] | Stream:
    plan = plan_bytes(request, size_bytes=file.raw_bytes, sha256=bytes.fromhex(file.digest))
    if plan.span is None:
        return Response(b"", status_code=plan.status, headers=plan.headers, media_type=BYTES)
    span = ByteSpan(start=plan.span.start, end=plan.span.end)
    chunks = await begin_download(
        request, file_service.read_file(resources, catalogs.cache, tenant, file.id, span)
    )
    return Stream(chunks, status_code=plan.status, headers=plan.headers, media_type=BYTES)


routes: Final = (put_file, list_files, show_file)
