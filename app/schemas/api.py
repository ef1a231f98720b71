"""HTTP routes of schemas."""

from uuid import UUID

from litestar import Response, Router, delete, patch, post, put
from msgspec import UNSET

from app.auth.callers import Caller
from app.auth.model import Scope
from app.http.authorization import needs
from app.http.bodies import AnyRequest, read_json, read_query
from app.http.conditions import existence_of
from app.http.methods import get
from app.limits import MAX_SCHEMA_BODY_BYTES, MAX_SMALL_BODY_BYTES
from app.pagination import Page
from app.resources import Resources
from app.schemas import publishing, reference, service
from app.schemas.alias_api import routes as alias_routes
from app.schemas.ddl_api import routes as ddl_routes
from app.schemas.model import CheckedSchema, CheckSchema, DescribeSchema, PutSchema, Schema
from app.schemas.publishing import PutOutcome
from app.schemas.refs import parse_new_schema, parse_schema, parse_schema_ref
from app.schemas.validation_api import routes as validation_routes
from app.schemas.version_api import routes as version_routes


@get("/", operation_class=reference.LIST_SCHEMAS, **needs(Scope.READ))
async def list_schemas(request: AnyRequest, resources: Resources, tenant: UUID) -> Page[Schema]:
    """List schemas.

    Newest first, in pages: pass a page's `next_cursor` as `cursor` to get the next one. Archived
    schemas are left out unless `archived` is true.
    """
    choices = read_query(request, reference.SchemaListQuery)
    return await service.list_schemas(
        resources,
        tenant,
        name=None if choices.name is UNSET else choices.name,
        archived=choices.archived,
        cursor=choices.cursor or None,
        limit=choices.limit,
    )


@get("/{schema:str}", operation_class=reference.SHOW_SCHEMA, **needs(Scope.READ))
async def show_schema(schema: str, resources: Resources, tenant: UUID) -> Schema:
    """Show a schema.

    A name or an id returns the schema with its newest version. A reference, such as `events@3` or
    `events@prod`, also returns the version that it names now, in `version`.
    """
    if "@" in schema:
        return await service.show_ref(resources, tenant, parse_schema_ref(schema))
    return await service.show(resources, tenant, parse_schema(schema))


@put(
    "/{schema:str}",
    operation_class=reference.PUT_SCHEMA,
    **needs(Scope.WRITE_SCHEMAS),
    request_max_body_size=MAX_SCHEMA_BODY_BYTES,
)
async def put_schema(
    schema: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Response[Schema]:
    """Create a schema or add a version.

    Makes this JSON Schema (draft 2020-12 or 7) the newest version: 201 if the schema or the version
    is new, 200 if the newest version has this document and this `strict` already. It is checked
    against its meta-schema and compiled first; the response lists every error with its place. A
    `$ref` to a registered schema names an exact version, such as `crivo:/schemas/address@2`; none
    leads to the network. The version's `verdict` says how it relates to the one before; if the
    schema demands a `compatibility`, a version without it is refused. `If-None-Match: *` only
    creates a schema, `If-Match: *` only changes one.
    """
    subject = parse_new_schema(schema)
    upload = await read_json(request, PutSchema, max_bytes=MAX_SCHEMA_BODY_BYTES)
    changed, outcome = await publishing.put_schema(
        resources, caller, subject, upload, preconditions=existence_of(request)
    )
    location = f"/schemas/{changed.id}"
    if outcome is not PutOutcome.CREATED:
        location += f"/versions/{changed.latest_version.version}"
    status = 200 if outcome is PutOutcome.UNCHANGED else 201
    return Response(changed, status_code=status, headers={"Location": location})


@post(
    "/check",
    status_code=200,
    operation_class=reference.CHECK_SCHEMA,
    **needs(Scope.WRITE_SCHEMAS),
    request_max_body_size=MAX_SCHEMA_BODY_BYTES,
)
async def check_schema(request: AnyRequest, resources: Resources, caller: Caller) -> CheckedSchema:
    """Check a schema.

    Reports what a put would report, and stores nothing: for editors and commit hooks. `against`
    refers to a version, such as `events` for the newest one; the response then has the `verdict`
    of the comparison, and `accepted` is false if that schema demands more.
    """
    check = await read_json(request, CheckSchema, max_bytes=MAX_SCHEMA_BODY_BYTES)
    return await publishing.check_schema(resources, caller, check)


@patch("/{schema:str}", operation_class=reference.DESCRIBE_SCHEMA, **needs(Scope.WRITE_SCHEMAS))
async def describe_schema(
    schema: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Schema:
    """Change a schema.

    Changes its description or the compatibility that it demands, archives it, or takes it out of
    the archive. Omitted members stay unchanged, and so do versions.
    """
    change = await read_json(request, DescribeSchema, max_bytes=MAX_SMALL_BODY_BYTES)
    return await service.describe(resources, caller, parse_schema(schema), change)


@delete(
    "/{schema:str}",
    status_code=200,
    operation_class=reference.ARCHIVE_SCHEMA,
    **needs(Scope.WRITE_SCHEMAS),
)
async def archive_schema(schema: str, resources: Resources, caller: Caller) -> Schema:
    """Archive a schema.

    Nothing is lost: what names one of its versions already goes on with it, and its name stays
    taken. The schema accepts no versions, and nothing new can refer to it, until it is taken out of
    the archive. A pipe that names the schema goes on. A pipe that chooses its schema by the event
    no longer finds it, and such events become dead letters (`unknown_schema`).
    """
    change = DescribeSchema(archived=True)
    return await service.describe(resources, caller, parse_schema(schema), change)


router = Router(
    path="/schemas",
    tags=["schemas"],
    route_handlers=[
        list_schemas,
        check_schema,
        show_schema,
        put_schema,
        describe_schema,
        archive_schema,
        *version_routes,
        *alias_routes,
        *validation_routes,
        *ddl_routes,
    ],
)
