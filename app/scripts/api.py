"""HTTP routes of scripts and versions."""

from uuid import UUID

from litestar import Response, Router, delete, patch, post, put
from msgspec import UNSET

from app.auth.callers import Caller
from app.auth.model import Scope
from app.http.authorization import needs
from app.http.bodies import AnyRequest, read_json, read_query
from app.http.conditions import existence_of
from app.http.methods import get
from app.limits import MAX_SMALL_BODY_BYTES, MAX_UPLOAD_BYTES
from app.pagination import Page, PageQuery
from app.resources import Resources
from app.scripts import publishing, reference, service
from app.scripts.alias_api import routes as alias_routes
from app.scripts.model import (
    Accepted,
    AddedVersion,
    AddVersion,
    CheckScript,
    CreatedScript,
    CreateScript,
    DescribeScript,
    Script,
    ScriptRef,
    Version,
    parse_new,
    parse_ref,
    parse_script,
    parse_selector,
)
from app.scripts.uploads import read_upload


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
    script = await publishing.create(resources, who, upload)
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
    return await publishing.check(resources, who, await read_upload(request, CheckScript))


@get("/", operation_class=reference.LIST_SCRIPTS, **needs(Scope.READ))
async def list_scripts(request: AnyRequest, resources: Resources, tenant: UUID) -> Page[Script]:
    """List scripts.

    Newest first, a page at a time: ask for the next one with `cursor`, the `next_cursor` of the
    page before. Archived scripts are left out unless asked for.
    """
    choices = read_query(request, reference.ListChoices)
    return await service.browse(
        resources,
        tenant,
        name=None if choices.name is UNSET else choices.name,
        archived=choices.archived,
        cursor=choices.cursor or None,
        limit=choices.limit,
    )


@get("/{script:str}", operation_class=reference.SHOW_SCRIPT, **needs(Scope.READ))
async def show_script(script: str, resources: Resources, tenant: UUID) -> Script:
    """Show a script.

    By its name or its id, with its newest version. By a reference, such as `cards@3` or
    `cards@prod`, with the version that it names now as well, in `version`.
    """
    if "@" in script:
        return await service.show_ref(resources, tenant, parse_ref(script))
    return await service.show(resources, tenant, parse_script(script))


@put(
    "/{script:str}",
    operation_class=reference.PUT_SCRIPT,
    **needs(Scope.WRITE_SCRIPTS),
    request_max_body_size=MAX_UPLOAD_BYTES,
)
async def put_script(
    script: str, request: AnyRequest, resources: Resources, who: Caller
) -> Response[CreatedScript]:
    """Put a script.

    Have this source as the newest version of the script: 201 with a script that is made now, or
    with a version that is added to it; 200 where its newest version has this source and these
    limits already. So a deployment sends its scripts each time, and says nothing of what is
    there. It takes the same three forms as a new version; an archived script stays as it is.
    With `If-None-Match: *` a script is only made, with `If-Match: *` only changed.
    """
    subject = parse_new(script)
    upload = await read_upload(request, AddVersion)
    conditions = existence_of(request)
    made, came = await publishing.put(resources, who, subject, upload, conditions=conditions)
    location = f"/scripts/{made.id}"
    if came is not publishing.Put.CREATED:
        location += f"/versions/{made.latest_version.version}"
    status = 200 if came is publishing.Put.UNCHANGED else 201
    return Response(made, status_code=status, headers={"Location": location})


@patch("/{script:str}", operation_class=reference.DESCRIBE_SCRIPT, **needs(Scope.WRITE_SCRIPTS))
async def describe_script(
    script: str, request: AnyRequest, resources: Resources, who: Caller
) -> Script:
    """Describe a script.

    Change its description, archive it, or take it out of the archive again. What is left out
    stays as it is.
    """
    change = await read_json(request, DescribeScript, max_bytes=MAX_SMALL_BODY_BYTES)
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
    version, new = await publishing.add_version(resources, who, parse_script(script), upload)
    location = f"/scripts/{script}/versions/{version.version}"
    return Response(version, status_code=201 if new else 200, headers={"Location": location})


@get("/{script:str}/versions", operation_class=reference.LIST_VERSIONS, **needs(Scope.READ))
async def list_versions(
    script: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Page[Version]:
    """List a script's versions.

    Newest first, a page at a time.
    """
    choices = read_query(request, PageQuery)
    return await service.browse_versions(
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

    By its number, by an alias, or as `latest`: its size, hash, limits and note; the source has an
    address of its own.
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

    Byte for byte what was uploaded.
    """
    source = await service.read_source(resources, tenant, _ref(script, number))
    # Never rendered as a page of ours, whatever the source looks like.
    headers = {"X-Content-Type-Options": "nosniff"}
    return Response(source, media_type="text/javascript", headers=headers)


def _ref(script: str, selector: str) -> ScriptRef:
    return ScriptRef(script=parse_script(script), selector=parse_selector(selector))


router = Router(
    path="/scripts",
    tags=["scripts"],
    route_handlers=[
        create_script,
        check_script,
        list_scripts,
        show_script,
        put_script,
        describe_script,
        archive_script,
        add_version,
        list_versions,
        show_version,
        show_source,
        *alias_routes,
    ],
)
