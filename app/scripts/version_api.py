"""HTTP routes of versions."""

from typing import Final
from uuid import UUID

from litestar import Response, post

from app.auth.callers import Caller
from app.auth.model import Scope
from app.http.authorization import needs
from app.http.bodies import AnyRequest, read_query
from app.http.idempotency import idempotency_key_of, replayed
from app.http.methods import get
from app.limits import MAX_UPLOAD_BYTES
from app.pagination import Page, PageQuery
from app.resources import Resources
from app.scripts import publishing, reference, service
from app.scripts.model import AddedVersion, AddVersion, Version
from app.scripts.refs import ScriptRef, parse_script, parse_selector
from app.scripts.upload_check import check_source
from app.scripts.uploads import receive_upload


@post(
    "/{script:str}/versions",
    operation_class=reference.ADD_VERSION,
    **needs(Scope.WRITE_SCRIPTS),
    request_max_body_size=MAX_UPLOAD_BYTES,
)
async def add_version(
    script: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Response[AddedVersion]:
    """Add a version.

    Versions are numbered from 1 and never change. From now on, an execution whose reference
    names no version runs this one. If the newest version has the same source, limits and schemas,
    no version is added and that one is returned, with 200. The body has the same three forms as a
    new script.
    """
    key = idempotency_key_of(request)
    upload = await receive_upload(request, AddVersion)
    subject = parse_script(script)
    await publishing.require_new_version(resources, caller.tenant, subject, upload)
    source = await check_source(resources, caller, upload.source)
    version, outcome = await publishing.add_version(
        resources, caller, subject, upload, source, key=key
    )
    location = f"/scripts/{script}/versions/{version.version}"
    headers = {"Location": location, **replayed(is_replay=outcome.repeated)}
    status = 200 if outcome.unchanged else 201
    return Response(version, status_code=status, headers=headers)


@get("/{script:str}/versions", operation_class=reference.LIST_VERSIONS, **needs(Scope.READ))
async def list_versions(
    script: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Page[Version]:
    """List a script's versions.

    Newest first, in pages.
    """
    choices = read_query(request, PageQuery)
    return await service.list_versions(
        resources,
        tenant,
        parse_script(script),
        cursor=choices.cursor or None,
        limit=choices.limit,
    )


@get(
    "/{script:str}/versions/{number:str}",
    operation_class=reference.SHOW_VERSION,
    **needs(Scope.READ),
)
async def show_version(script: str, number: str, resources: Resources, tenant: UUID) -> Version:
    """Show a version.

    Takes a number, an alias or `latest`, and returns the version's size, hash, limits and note.
    The source has a URL of its own.
    """
    return await service.show_version(resources, tenant, _ref(script, number))


@get(
    "/{script:str}/versions/{number:str}/source",
    media_type="text/javascript",
    operation_class=reference.SHOW_SOURCE,
    **needs(Scope.READ),
)
async def show_source(
    script: str, number: str, resources: Resources, tenant: UUID
) -> Response[bytes]:
    """Download a version's source.

    Returns the uploaded source, byte for byte.
    """
    source = await service.read_source(resources, tenant, _ref(script, number))
    # A source that looks like HTML must not be rendered as a page of this origin.
    headers = {"X-Content-Type-Options": "nosniff"}
    return Response(source, media_type="text/javascript", headers=headers)


def _ref(script: str, selector: str) -> ScriptRef:
    return ScriptRef(script=parse_script(script), selector=parse_selector(selector))


routes: Final = (add_version, list_versions, show_version, show_source)
