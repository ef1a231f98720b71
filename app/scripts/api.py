"""HTTP routes of scripts, versions and aliases."""

from typing import Annotated
from uuid import UUID

from litestar import Response, Router, delete, patch, post, put
from litestar.params import Parameter

from app.http.access import Caller, Scope, needs
from app.http.bodies import AnyRequest, invalid, read_json
from app.http.methods import get
from app.http.paging import DEFAULT_PAGE, MAX_PAGE, Page
from app.resources import Resources
from app.scripts import reference, service
from app.scripts.model import (
    Accepted,
    AddedVersion,
    AddVersion,
    Alias,
    CheckScript,
    CreatedScript,
    CreateScript,
    DescribeScript,
    MoveAlias,
    Script,
    Version,
    VersionNotFound,
    parse_script,
)
from app.scripts.uploads import MAX_UPLOAD_BYTES, read_upload
from app.settings import KIB

PageLimit = Annotated[int, Parameter(ge=1, le=MAX_PAGE, description="items on a page")]
Cursor = Annotated[str | None, Parameter(description="`next_cursor` of the page before")]

_SMALL = 64 * KIB
_HIGHEST_VERSION = 2**31 - 1


@post(
    "/",
    operation_class=reference.CREATE_SCRIPT,
    **needs(Scope.WRITE_SCRIPTS),
    request_max_body_size=MAX_UPLOAD_BYTES,
)
async def create_script(
    request: AnyRequest, resources: Resources, who: Caller
) -> Response[CreatedScript]:
    """Create a script.

    The script gets version 1. Send JSON, the file itself (`text/javascript`, its name and the
    rest in the query), or a form with the file in it. The source is checked first: V8 compiles
    it and runs its top level in a sandbox, and all that is wrong is answered with line and
    column. A name is taken once, also by an archived script.
    """
    upload = await read_upload(request, CreateScript)
    script = await service.create(resources, who, upload)
    return Response(script, status_code=201, headers={"Location": f"/scripts/{script.id}"})


@post(
    "/check",
    status_code=200,
    operation_class=reference.CHECK_SCRIPT,
    **needs(Scope.WRITE_SCRIPTS),
    request_max_body_size=MAX_UPLOAD_BYTES,
)
async def check_script(request: AnyRequest, resources: Resources, who: Caller) -> Accepted:
    """Check a script.

    What an upload would be told, and nothing is stored: for an editor or a commit hook. It takes
    the same three forms. The JSON form may bring a `sample`, data of any kind: a script that
    would be taken is run on it at once, and the answer has its result or error, its console and
    a receipt. A sample's result is at most 1 MiB.
    """
    return await service.check(resources, who, await read_upload(request, CheckScript))


@get("/", operation_class=reference.LIST_SCRIPTS, **needs(Scope.READ))
async def list_scripts(
    resources: Resources,
    tenant: UUID,
    cursor: Cursor = None,
    *,
    limit: PageLimit = DEFAULT_PAGE,
    archived: Annotated[bool, Parameter(description="list archived scripts too")] = False,
) -> Page[Script]:
    """List scripts.

    Newest first, a page at a time: ask for the next one with `cursor`, the `next_cursor` of the
    page before. Archived scripts are left out unless asked for.
    """
    return await service.browse(resources, tenant, cursor=cursor, archived=archived, limit=limit)


@get("/{script:str}", operation_class=reference.SHOW_SCRIPT, **needs(Scope.READ))
async def show_script(script: str, resources: Resources, tenant: UUID) -> Script:
    """Show a script.

    By its name or its id, with its newest version.
    """
    return await service.show(resources, tenant, parse_script(script))


@patch("/{script:str}", operation_class=reference.DESCRIBE_SCRIPT, **needs(Scope.WRITE_SCRIPTS))
async def describe_script(
    script: str, request: AnyRequest, resources: Resources, who: Caller
) -> Script:
    """Describe a script.

    Change its description, archive it, or take it out of the archive again. What is left out
    stays as it is.
    """
    change = await read_json(request, DescribeScript, max_bytes=_SMALL)
    return await service.describe(
        resources,
        who,
        parse_script(script),
        description=change.description,
        archived=change.archived,
    )


@delete(
    "/{script:str}",
    status_code=200,
    operation_class=reference.ARCHIVE_SCRIPT,
    **needs(Scope.WRITE_SCRIPTS),
)
async def archive_script(script: str, resources: Resources, who: Caller) -> Script:
    """Archive a script.

    Nothing is lost: its versions and receipts stay and can be read, its name stays taken. It
    takes no more versions and no more executions until it is taken out of the archive.
    """
    return await service.describe(resources, who, parse_script(script), archived=True)


@post(
    "/{script:str}/versions",
    operation_class=reference.ADD_VERSION,
    **needs(Scope.WRITE_SCRIPTS),
    request_max_body_size=MAX_UPLOAD_BYTES,
)
async def add_version(
    script: str, request: AnyRequest, resources: Resources, who: Caller
) -> Response[AddedVersion]:
    """Add a version.

    Versions count up and never change; executions without a version in their reference take
    the newest from now on. The newest version's source and limits once more make no new one:
    that version comes back, with 200. It takes the same three forms as a new script.
    """
    upload = await read_upload(request, AddVersion)
    version, new = await service.add_version(resources, who, parse_script(script), upload)
    location = f"/scripts/{script}/versions/{version.version}"
    return Response(version, status_code=201 if new else 200, headers={"Location": location})


@get("/{script:str}/versions", operation_class=reference.LIST_VERSIONS, **needs(Scope.READ))
async def list_versions(
    script: str,
    resources: Resources,
    tenant: UUID,
    cursor: Cursor = None,
    *,
    limit: PageLimit = DEFAULT_PAGE,
) -> Page[Version]:
    """List a script's versions.

    Newest first, a page at a time.
    """
    versions, more = await service.browse_versions(
        resources, tenant, parse_script(script), below=_below(cursor), limit=limit
    )
    return Page(items=versions, next_cursor=str(versions[-1].version) if more else None)


@get(
    "/{script:str}/versions/{number:str}",
    operation_class=reference.SHOW_VERSION,
    **needs(Scope.READ),
)
async def show_version(script: str, number: str, resources: Resources, tenant: UUID) -> Version:
    """Show a version.

    Its size, hash, limits and note; the source has an address of its own.
    """
    return await service.show_version(
        resources, tenant, parse_script(script), _version_number(number)
    )


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

    Byte for byte what was uploaded.
    """
    source = await service.read_source(
        resources, tenant, parse_script(script), _version_number(number)
    )
    # Never rendered as a page of ours, whatever the source looks like.
    headers = {"X-Content-Type-Options": "nosniff"}
    return Response(source, media_type="text/javascript", headers=headers)


@get("/{script:str}/aliases", operation_class=reference.LIST_ALIASES, **needs(Scope.READ))
async def list_aliases(script: str, resources: Resources, tenant: UUID) -> list[Alias]:
    """List a script's aliases.

    All of them, with the version that each names now.
    """
    return await service.aliases(resources, tenant, parse_script(script))


@put(
    "/{script:str}/aliases/{alias:str}",
    operation_class=reference.MOVE_ALIAS,
    **needs(Scope.WRITE_SCRIPTS),
)
async def move_alias(
    script: str, alias: str, request: AnyRequest, resources: Resources, who: Caller
) -> Alias:
    """Move an alias.

    Make it, or point it at another version: `cards@prod` runs that version from now on. What was
    accepted before keeps its own.
    """
    move = await read_json(request, MoveAlias, max_bytes=_SMALL)
    return await service.move_alias(
        resources, who, parse_script(script), alias=alias, version=move.version
    )


@delete(
    "/{script:str}/aliases/{alias:str}",
    operation_class=reference.REMOVE_ALIAS,
    **needs(Scope.WRITE_SCRIPTS),
)
async def remove_alias(script: str, alias: str, resources: Resources, who: Caller) -> None:
    """Remove an alias.

    The version that it named stays.
    """
    await service.remove_alias(resources, who, parse_script(script), alias)


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
    raise invalid("/cursor", f"{cursor!r} is not one that a page gave")


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
