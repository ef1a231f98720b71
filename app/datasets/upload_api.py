"""HTTP routes of uploads: many files, in parts, that become one snapshot."""

from typing import Final
from uuid import UUID

from litestar import MediaType, Response, delete, post, put
from litestar.response import Stream

from app.auth.callers import Caller
from app.auth.model import Scope
from app.datasets import file_reference as reference, publishing, upload_service
from app.datasets.model import (
    CommitUpload,
    CreateUpload,
    Snapshot,
    Upload,
    UploadPart,
)
from app.datasets.problems import InvalidPart, with_hint
from app.datasets.refs import parse_name, parse_part, parse_path, parse_upload_id
from app.datasets.upload_contents import open_contents
from app.datasets.upload_service import Part
from app.http.authorization import needs
from app.http.bodies import (
    AnyRequest,
    announced_bytes,
    hint_at_newlines,
    read_json,
    read_query,
    stream_body,
)
from app.http.idempotency import idempotency_key_of, replayed
from app.http.methods import get, is_head
from app.http.raw_paths import path_after
from app.idempotency.model import Repeated
from app.limits import MAX_COMMIT_BYTES, MAX_PART_BYTES, MAX_SMALL_BODY_BYTES
from app.pagination import Page, PageQuery
from app.payloads.reader import begin, single_chunk
from app.quotas.turns import TenantTurns
from app.resources import Resources


@post(
    "/datasets/{dataset:str}/uploads",
    operation_class=reference.CREATE_UPLOAD,
    **needs(Scope.WRITE_DATASETS),
)
async def create_upload(
    dataset: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Response[Upload]:
    """Begin an upload.

    It takes parts of files in any order, also in parallel, and publishes all of them at once
    when it is committed. Until then nobody sees them.
    """
    key = idempotency_key_of(request)
    wanted = await read_json(request, CreateUpload, max_bytes=MAX_SMALL_BODY_BYTES)
    is_replay = False
    try:
        upload = await upload_service.begin(resources, caller, parse_name(dataset), wanted, key)
    except Repeated as earlier:
        upload = await upload_service.find(resources, caller.tenant, UUID(earlier.resource))
        is_replay = True
    headers = {"Location": f"/uploads/{upload.id}", **replayed(is_replay=is_replay)}
    return Response(upload_service.describe(upload), status_code=201, headers=headers)


@get("/datasets/{dataset:str}/uploads", operation_class=reference.LIST_UPLOADS, **needs(Scope.READ))
async def list_uploads(
    dataset: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Page[Upload]:
    """List open uploads.

    Newest first, in pages: those that are neither committed nor expired, and those of files that
    arrive at the moment.
    """
    choices = read_query(request, PageQuery)
    return await upload_service.list_open(
        resources,
        tenant,
        parse_name(dataset),
        cursor=choices.cursor or None,
        limit=choices.limit,
    )


@get(
    "/uploads/{upload:str}",
    media_type=MediaType.JSON,
    operation_class=reference.SHOW_UPLOAD,
    **needs(Scope.READ),
)
async def show_upload(
    upload: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Stream:
    """Show an upload.

    Lists the parts that it holds, so that a client can send the others.
    """
    written = await open_contents(resources, tenant, parse_upload_id(upload))
    body = single_chunk(b"") if is_head(request) else await begin(written)
    return Stream(body, media_type=MediaType.JSON)


@put(
    "/uploads/{upload:str}/files/{path:path}",
    request_max_body_size=None,
    operation_class=reference.PUT_PART,
    **needs(Scope.WRITE_DATASETS),
)
async def put_part(
    upload: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Response[UploadPart]:
    """Upload a part of a file.

    The address is that of the file, followed by `/parts/` and the part's number, from 1 on. The
    body is whole lines, except for the format `bytes`; its lines are checked and indexed as it
    arrives. 201 for a new part, 200 for one that is held with the same bytes, 409 for one that
    is held with others.
    """
    path, number = parse_part(path_after(request, names=3))
    part = Part(
        path=path,
        number=number,
        data=stream_body(request, max_bytes=MAX_PART_BYTES, compressed=True, digested=True),
        announced_bytes=announced_bytes(request),
    )
    turns: TenantTurns = request.app.state.part_turns
    upload_id = parse_upload_id(upload)
    try:
        received, is_new = await upload_service.receive_part(
            resources, caller, upload_id, part, turns=turns
        )
    except InvalidPart as error:
        raise with_hint(error, hint_at_newlines(request)) from None
    return Response(received, status_code=201 if is_new else 200)


@delete(
    "/uploads/{upload:str}/files/{path:path}",
    operation_class=reference.REMOVE_FILE,
    **needs(Scope.WRITE_DATASETS),
)
async def remove_file(
    upload: str, request: AnyRequest, resources: Resources, caller: Caller
) -> None:
    """Drop a file of an upload.

    Deletes the parts that the upload holds of it, such as those of a file that has changed while
    it was sent.
    """
    path = parse_path(path_after(request, names=3))
    await upload_service.remove_file(resources, caller, parse_upload_id(upload), path)


@post(
    "/uploads/{upload:str}/commit",
    request_max_body_size=None,
    operation_class=reference.COMMIT_UPLOAD,
    **needs(Scope.WRITE_DATASETS),
)
async def commit_upload(
    upload: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Response[Snapshot]:
    """Commit an upload.

    Publishes its files as the next snapshot, all or nothing. The body names every file with the
    number and the digest of its parts, so that nothing is missing. Repeating a commit returns
    the snapshot that it published, as 200.
    """
    wanted = await read_json(request, CommitUpload, max_bytes=MAX_COMMIT_BYTES)
    dataset, snapshot, is_new = await publishing.commit(
        resources, caller, parse_upload_id(upload), wanted.files
    )
    headers = {"Location": f"/datasets/{dataset}/snapshots/{snapshot.number}"}
    return Response(snapshot, status_code=201 if is_new else 200, headers=headers)


@delete(
    "/uploads/{upload:str}",
    operation_class=reference.ABANDON_UPLOAD,
    **needs(Scope.WRITE_DATASETS),
)
async def abandon_upload(upload: str, resources: Resources, caller: Caller) -> None:
    """Abandon an upload.

    Deletes an open upload with what it holds; a committed one stays.
    """
    await upload_service.abandon(resources, caller, parse_upload_id(upload))


routes: Final = (
    create_upload,
    list_uploads,
    show_upload,
    put_part,
    remove_file,
    commit_upload,
    abandon_upload,
)
