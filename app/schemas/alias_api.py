"""HTTP routes of aliases of schemas."""

from typing import Final
from uuid import UUID

from litestar import Response, delete, put

from app.auth.callers import Caller
from app.auth.model import Scope
from app.http.authorization import needs
from app.http.bodies import AnyRequest, read_json, read_query
from app.http.conditions import conditions_of, is_known
from app.http.methods import get
from app.limits import MAX_SMALL_BODY_BYTES
from app.pagination import Page, PageQuery
from app.references import Alias
from app.resources import Resources
from app.schemas import alias_service as service, reference
from app.schemas.model import MoveSchemaAlias
from app.schemas.refs import parse_schema


@get(
    "/{schema:str}/aliases",
    operation_class=reference.LIST_SCHEMA_ALIASES,
    **needs(Scope.READ),
)
async def list_schema_aliases(
    schema: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Page[Alias]:
    """List a schema's aliases.

    Sorted by name, in pages, each with the version that it names now.
    """
    choices = read_query(request, PageQuery)
    return await service.list_aliases(
        resources,
        tenant,
        parse_schema(schema),
        cursor=choices.cursor or None,
        limit=choices.limit,
    )


@get(
    "/{schema:str}/aliases/{alias:str}",
    operation_class=reference.SHOW_SCHEMA_ALIAS,
    **needs(Scope.READ),
)
async def show_schema_alias(
    schema: str, alias: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Response[Alias | None]:
    """Show an alias of a schema.

    Returns the version that it names now. Pass its `ETag` as `If-Match` to move the alias only
    if it has not been moved since.
    """
    current = await service.show(resources, tenant, parse_schema(schema), alias)
    headers = {"ETag": current.etag}
    if is_known(request, current.etag):
        return Response(None, status_code=304, headers=headers)
    return Response(current, headers=headers)


@put(
    "/{schema:str}/aliases/{alias:str}",
    operation_class=reference.MOVE_SCHEMA_ALIAS,
    **needs(Scope.WRITE_SCHEMAS),
)
async def move_schema_alias(
    schema: str, alias: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Response[Alias]:
    """Move an alias of a schema.

    Creates the alias, or makes it name another version: what refers to `events@prod` is checked
    by that version from now on. `If-Match` moves the alias only if its `ETag` is still the same,
    `If-None-Match: *` only creates it.
    """
    move = await read_json(request, MoveSchemaAlias, max_bytes=MAX_SMALL_BODY_BYTES)
    moved = await service.move(
        resources,
        caller,
        parse_schema(schema),
        alias=alias,
        version=move.version,
        preconditions=conditions_of(request),
    )
    return Response(moved, headers={"ETag": moved.etag})


@delete(
    "/{schema:str}/aliases/{alias:str}",
    operation_class=reference.REMOVE_SCHEMA_ALIAS,
    **needs(Scope.WRITE_SCHEMAS),
)
async def remove_schema_alias(
    schema: str, alias: str, request: AnyRequest, resources: Resources, caller: Caller
) -> None:
    """Remove an alias of a schema.

    Its version stays. `If-Match` removes the alias only if its `ETag` is still the same.
    """
    await service.remove(
        resources, caller, parse_schema(schema), alias, preconditions=conditions_of(request)
    )


routes: Final = (list_schema_aliases, show_schema_alias, move_schema_alias, remove_schema_alias)
