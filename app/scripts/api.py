"""HTTP routes of scripts, versions and aliases."""

from typing import Annotated
from uuid import UUID

from litestar import Response, Router, delete, get, patch, post, put
from litestar.params import Parameter

from app.errors import MalformedRequest
from app.http.bodies import AnyRequest, read_json
from app.http.openapi import reads, schema_of
from app.http.paging import DEFAULT_PAGE, MAX_PAGE, Page
from app.resources import Resources
from app.scripts import service
from app.scripts.model import (
    Accepted,
    AddVersion,
    Alias,
    CreateScript,
    DescribeScript,
    MoveAlias,
    Script,
    Version,
    VersionNotFound,
    parse_script,
)
from app.scripts.uploads import MAX_UPLOAD_BYTES, read_upload, upload_content
from app.settings import KIB

PageLimit = Annotated[int, Parameter(ge=1, le=MAX_PAGE, description="items on a page")]
Cursor = Annotated[str | None, Parameter(description="`next_cursor` of the page before")]

_SMALL = 64 * KIB
_HIGHEST_VERSION = 2**31 - 1


@post(
    "/",
    operation_class=reads(upload_content(CreateScript)),
    request_max_body_size=MAX_UPLOAD_BYTES,
)
async def create_script(
    request: AnyRequest, resources: Resources, tenant: UUID
) -> Response[Script]:
    """Create a script and its version 1, from JSON, the file itself or a form."""
    upload = await read_upload(request, CreateScript)
    script = await service.create(resources, tenant, upload)
    return Response(script, status_code=201, headers={"Location": f"/scripts/{script.id}"})


@post(
    "/check",
    status_code=200,
    operation_class=reads(upload_content(AddVersion)),
    request_max_body_size=MAX_UPLOAD_BYTES,
)
async def check_script(request: AnyRequest, resources: Resources, tenant: UUID) -> Accepted:
    """Check a source as an upload would, and store nothing."""
    upload = await read_upload(request, AddVersion)
    await service.check(resources, tenant, upload.source)
    return Accepted()


@get("/")
async def list_scripts(
    resources: Resources,
    tenant: UUID,
    cursor: Cursor = None,
    *,
    limit: PageLimit = DEFAULT_PAGE,
    archived: Annotated[bool, Parameter(description="list archived scripts too")] = False,
) -> Page[Script]:
    """List scripts, newest first."""
    return await service.browse(resources, tenant, cursor=cursor, archived=archived, limit=limit)


@get("/{script:str}")
async def show_script(script: str, resources: Resources, tenant: UUID) -> Script:
    """Show a script, by id or name, and its newest version."""
    return await service.show(resources, tenant, parse_script(script))


@patch("/{script:str}", operation_class=reads({"application/json": schema_of(DescribeScript)}))
async def describe_script(
    script: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Script:
    """Change a script's description, archive it, or take it out of the archive."""
    change = await read_json(request, DescribeScript, max_bytes=_SMALL)
    return await service.describe(
        resources,
        tenant,
        parse_script(script),
        description=change.description,
        archived=change.archived,
    )


@delete("/{script:str}", status_code=200)
async def archive_script(script: str, resources: Resources, tenant: UUID) -> Script:
    """Archive a script: its versions and receipts stay, it takes no more executions."""
    return await service.describe(resources, tenant, parse_script(script), archived=True)


@post(
    "/{script:str}/versions",
    operation_class=reads(upload_content(AddVersion)),
    request_max_body_size=MAX_UPLOAD_BYTES,
)
async def add_version(
    script: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Response[Version]:
    """Add a version: 201; or 200 with the newest one when it has this source and these limits."""
    upload = await read_upload(request, AddVersion)
    version, new = await service.add_version(resources, tenant, parse_script(script), upload)
    location = f"/scripts/{script}/versions/{version.version}"
    return Response(version, status_code=201 if new else 200, headers={"Location": location})


@get("/{script:str}/versions")
async def list_versions(
    script: str,
    resources: Resources,
    tenant: UUID,
    cursor: Cursor = None,
    *,
    limit: PageLimit = DEFAULT_PAGE,
) -> Page[Version]:
    """List a script's versions, newest first."""
    versions, more = await service.browse_versions(
        resources, tenant, parse_script(script), below=_below(cursor), limit=limit
    )
    return Page(items=versions, next_cursor=str(versions[-1].version) if more else None)


@get("/{script:str}/versions/{number:str}")
async def show_version(script: str, number: str, resources: Resources, tenant: UUID) -> Version:
    """Show one version."""
    return await service.show_version(
        resources, tenant, parse_script(script), _version_number(number)
    )


@get("/{script:str}/versions/{number:str}/source", media_type="text/javascript")
async def show_source(
    script: str, number: str, resources: Resources, tenant: UUID
) -> Response[bytes]:
    """Give a version's source back, byte for byte."""
    source = await service.read_source(
        resources, tenant, parse_script(script), _version_number(number)
    )
    # Never rendered as a page of ours, whatever the source looks like.
    headers = {"X-Content-Type-Options": "nosniff"}
    return Response(source, media_type="text/javascript", headers=headers)


@get("/{script:str}/aliases")
async def list_aliases(script: str, resources: Resources, tenant: UUID) -> list[Alias]:
    """List a script's aliases."""
    return await service.aliases(resources, tenant, parse_script(script))


@put(
    "/{script:str}/aliases/{alias:str}",
    operation_class=reads({"application/json": schema_of(MoveAlias)}),
)
async def move_alias(
    script: str, alias: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Alias:
    """Make an alias, or move it to another version."""
    move = await read_json(request, MoveAlias, max_bytes=_SMALL)
    return await service.move_alias(
        resources, tenant, parse_script(script), alias=alias, version=move.version
    )


@delete("/{script:str}/aliases/{alias:str}")
async def remove_alias(script: str, alias: str, resources: Resources, tenant: UUID) -> None:
    """Remove an alias; the version stays."""
    await service.remove_alias(resources, tenant, parse_script(script), alias)


def _version_number(text: str) -> int:
    number = _number(text)
    if number is not None and number > 0:
        return number
    raise VersionNotFound(f"{text!r} is not a version's number")


def _below(cursor: str | None) -> int:
    if cursor is None:
        return _HIGHEST_VERSION
    number = _number(cursor)
    if number is not None:
        return number
    raise MalformedRequest(f"cursor {cursor!r} is not one that a page gave")


def _number(text: str) -> int | None:
    # Ten digits hold every version; int() refuses texts of thousands with an error of its own.
    if len(text) > 10 or not (text.isascii() and text.isdigit()):  # noqa: PLR2004
        return None
    return min(int(text), _HIGHEST_VERSION)


router = Router(
    path="/scripts",
    tags=["scripts"],
    route_handlers=[
        create_script,
        check_script,
        list_scripts,
        show_script,
        describe_script,
        archive_script,
        add_version,
        list_versions,
        show_version,
        show_source,
        list_aliases,
        move_alias,
        remove_alias,
    ],
)
