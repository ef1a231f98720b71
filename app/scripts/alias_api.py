"""HTTP routes of aliases."""

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
from app.resources import Resources
from app.scripts import alias_service as service, reference
from app.scripts.model import Alias, MoveAlias, parse_script


@get("/{script:str}/aliases", operation_class=reference.LIST_ALIASES, **needs(Scope.READ))
async def list_aliases(
    script: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Page[Alias]:
    """List a script's aliases.

    By name, a page at a time, with the version that each names now.
    """
    choices = read_query(request, PageQuery)
    return await service.browse(
        resources,
        tenant,
        parse_script(script),
        cursor=choices.cursor or None,
        limit=choices.limit,
    )


@get(
    "/{script:str}/aliases/{alias:str}",
    operation_class=reference.SHOW_ALIAS,
    **needs(Scope.READ),
)
async def show_alias(
    script: str, alias: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Response[Alias | None]:
    """Show an alias.

    The version that it names now. Its `ETag` is for `If-Match`, when it shall be moved only from
    there.
    """
    found = await service.show(resources, tenant, parse_script(script), alias)
    headers = {"ETag": found.etag}
    if is_known(request, found.etag):
        return Response(None, status_code=304, headers=headers)
    return Response(found, headers=headers)


@put(
    "/{script:str}/aliases/{alias:str}",
    operation_class=reference.MOVE_ALIAS,
    **needs(Scope.WRITE_SCRIPTS),
)
async def move_alias(
    script: str, alias: str, request: AnyRequest, resources: Resources, who: Caller
) -> Response[Alias]:
    """Move an alias.

    Make it, or point it at another version: `cards@prod` runs that version from now on. What was
    accepted before keeps its own. With `If-Match` it is moved only from where the client knows
    it to be, with `If-None-Match: *` only made.
    """
    move = await read_json(request, MoveAlias, max_bytes=MAX_SMALL_BODY_BYTES)
    moved = await service.move(
        resources,
        who,
        parse_script(script),
        alias=alias,
        version=move.version,
        conditions=conditions_of(request),
    )
    return Response(moved, headers={"ETag": moved.etag})


@delete(
    "/{script:str}/aliases/{alias:str}",
    operation_class=reference.REMOVE_ALIAS,
    **needs(Scope.WRITE_SCRIPTS),
)
async def remove_alias(
    script: str, alias: str, request: AnyRequest, resources: Resources, who: Caller
) -> None:
    """Remove an alias.

    The version that it named stays. With `If-Match` it is removed only while it is what the
    client knows.
    """
    await service.remove(
        resources, who, parse_script(script), alias, conditions=conditions_of(request)
    )


routes: Final = (list_aliases, show_alias, move_alias, remove_alias)
