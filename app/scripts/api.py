"""HTTP routes of scripts."""

from uuid import UUID

from litestar import Response, Router, delete, patch, post, put
from msgspec import UNSET

from app.auth.callers import Caller
from app.auth.model import Scope
from app.http.authorization import needs
from app.http.bodies import AnyRequest, read_json, read_query
from app.http.conditions import existence_of
from app.http.idempotency import idempotency_key_of, replayed
from app.http.methods import get
from app.limits import MAX_SMALL_BODY_BYTES, MAX_UPLOAD_BYTES
from app.pagination import Page
from app.resources import Resources
from app.sandbox.outcomes import Io
from app.scripts import publishing, reference, service
from app.scripts.alias_api import routes as alias_routes
from app.scripts.model import (
    Accepted,
    AddVersion,
    CheckScript,
    CreatedScript,
    CreateScript,
    DescribeScript,
    Script,
)
from app.scripts.params import read_params
from app.scripts.publishing import UploadOutcome
from app.scripts.refs import parse_new, parse_ref, parse_script
from app.scripts.samples import decode_sample, run_sample
from app.scripts.service import require_limits
from app.scripts.upload_check import check_source
from app.scripts.uploads import receive_upload
from app.scripts.version_api import routes as version_routes
from app.scripts.version_schemas import resolve_schemas


@post(
    "/",
    operation_class=reference.CREATE_SCRIPT,
    **needs(Scope.WRITE_SCRIPTS),
    request_max_body_size=MAX_UPLOAD_BYTES,
)
async def create_script(
    request: AnyRequest, resources: Resources, caller: Caller
) -> Response[CreatedScript]:
    """Create a script.

    The source becomes version 1. Send JSON, the file itself (`text/javascript`, with the name
    and other members in the query), or a form that contains the file. The source is checked
    first: V8 compiles it and runs its top level in a sandbox; the response lists every error
    with its line and column. Names are unique, and archived scripts keep theirs.
    """
    key = idempotency_key_of(request)
    upload = await receive_upload(request, CreateScript)
    publishing.require_new_script(resources.settings, upload)
    source = await check_source(resources, caller, upload.source)
    script, outcome = await publishing.create_script(resources, caller, upload, source, key=key)
    headers = {
        "Location": f"/scripts/{script.id}",
        **replayed(is_replay=outcome.repeated),
    }
    return Response(script, status_code=201, headers=headers)


@post(
    "/check",
    status_code=200,
    operation_class=reference.CHECK_SCRIPT,
    **needs(Scope.WRITE_SCRIPTS),
    request_max_body_size=MAX_UPLOAD_BYTES,
)
async def check_script(request: AnyRequest, resources: Resources, caller: Caller) -> Accepted:
    """Check a script.

    Reports what an upload would report, and stores nothing: for editors and commit hooks. The
    body has the same three forms. The JSON form can contain a `sample`, which is any JSON: a
    script without errors is run on it at once, and the response contains the result or the
    error, the console and a receipt. A sample's result is at most 1 MiB. With `"io": "bytes"`
    sample and result are strings that have the bytes in base64. The sample has to satisfy
    `input_schema`, and its result `output_schema`.
    """
    upload = await receive_upload(request, CheckScript)
    require_limits(resources.settings, upload.limits)
    params = read_params(upload.params)
    async with resources.pool.acquire() as conn:
        schemas = await resolve_schemas(conn, caller.tenant, upload)
    source = await check_source(resources, caller, upload.source)
    if upload.sample is UNSET:
        return Accepted(warnings=source.warnings)
    sample = await run_sample(
        resources,
        caller,
        source.encoded,
        sample=decode_sample(upload.sample) if upload.io is Io.BYTES else bytes(upload.sample),
        io=upload.io,
        schemas=schemas,
        params=params,
        limits=upload.limits,
        seed=upload.seed,
    )
    return Accepted(warnings=source.warnings, sample=sample)


@get("/", operation_class=reference.LIST_SCRIPTS, **needs(Scope.READ))
async def list_scripts(request: AnyRequest, resources: Resources, tenant: UUID) -> Page[Script]:
    """List scripts.

    Newest first, in pages: pass a page's `next_cursor` as `cursor` to get the next one. Archived
    scripts are left out unless `archived` is true.
    """
    choices = read_query(request, reference.ScriptListQuery)
    return await service.list_scripts(
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

    A name or an id returns the script with its newest version. A reference, such as `cards@3` or
    `cards@prod`, also returns the version that it names now, in `version`.
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
    script: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Response[CreatedScript]:
    """Create a script or add a version.

    Makes this source the newest version of the script: 201 if the script or the version is
    new, 200 if the newest version has this source, limits and schemas already. A deployment can
    send all of its scripts every time, whatever the service has. The body has the same three
    forms as a new version; an archived script is not changed. `If-None-Match: *` only creates
    a script, `If-Match: *` only changes one.
    """
    subject = parse_new(script)
    upload = await receive_upload(request, AddVersion)
    preconditions = existence_of(request)
    exists = await publishing.require_put(
        resources, caller.tenant, subject, upload, preconditions=preconditions
    )
    source = await check_source(resources, caller, upload.source)
    put, outcome = await publishing.put_script(
        resources, caller, subject, upload, source, exists=exists, preconditions=preconditions
    )
    location = f"/scripts/{put.id}"
    if outcome is not UploadOutcome.CREATED:
        location += f"/versions/{put.latest_version.version}"
    status = 200 if outcome is UploadOutcome.UNCHANGED else 201
    return Response(put, status_code=status, headers={"Location": location})


@patch("/{script:str}", operation_class=reference.DESCRIBE_SCRIPT, **needs(Scope.WRITE_SCRIPTS))
async def describe_script(
    script: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Script:
    """Change a script.

    Changes its description, archives it, or takes it out of the archive. Omitted members stay
    unchanged.
    """
    change = await read_json(request, DescribeScript, max_bytes=MAX_SMALL_BODY_BYTES)
    return await service.describe(
        resources,
        caller,
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
async def archive_script(script: str, resources: Resources, caller: Caller) -> Script:
    """Archive a script.

    Nothing is lost: its versions and receipts can still be read, and its name stays taken. The
    script accepts no versions and no executions until it is taken out of the archive.
    """
    return await service.describe(resources, caller, parse_script(script), archived=True)


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
        *version_routes,
        *alias_routes,
    ],
)
