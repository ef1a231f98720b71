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
from app.references import Alias
from app.resources import Resources
from app.scripts import alias_service as service, reference
from app.scripts.model import MoveAlias
from app.scripts.refs import parse_script


@get("/{script:str}/aliases", operation_class=reference.LIST_ALIASES, **needs(Scope.READ))
async def list_aliases(
    script: str, request: AnyRequest, resources: Resources, tenant: UUID
) -> Page[Alias]:
    """List a script's aliases.

    Sorted by name, in pages, each with the version that it names now.
    """
    choices = read_query(request, PageQuery)
    return await service.list_aliases(
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

    Returns the version that it names now. Pass its `ETag` as `If-Match` to move the alias only
    if it has not been moved since.
    """
    current = await service.show(resources, tenant, parse_script(script), alias)
    headers = {"ETag": current.etag}
    if is_known(request, current.etag):
        return Response(None, status_code=304, headers=headers)
    return Response(current, headers=headers)


@put(
    "/{script:str}/aliases/{alias:str}",
    operation_class=reference.MOVE_ALIAS,
    **needs(Scope.WRITE_SCRIPTS),
)
async def move_alias(
    script: str, alias: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Response[Alias]:
    """Move an alias.

    Creates the alias, or makes it name another version: `cards@prod` runs that version from now
    on. Executions accepted earlier keep theirs. `If-Match` moves the alias only if its `ETag` is
    still the same, `If-None-Match: *` only creates it; a `comparison` moves it only if both
    versions gave the same results.
    """
    move = await read_json(request, MoveAlias, max_bytes=MAX_SMALL_BODY_BYTES)
    moved = await service.move(
        resources,
        caller,
        parse_script(script),
        alias=alias,
        wanted=move,
        preconditions=conditions_of(request),
    )
    return Response(moved, headers={"ETag": moved.etag})


@delete(
    "/{script:str}/aliases/{alias:str}",
    operation_class=reference.REMOVE_ALIAS,
    **needs(Scope.WRITE_SCRIPTS),
)
async def remove_alias(
    script: str, alias: str, request: AnyRequest, resources: Resources, caller: Caller
) -> None:
    """Remove an alias.

    Its version stays. `If-Match` removes the alias only if its `ETag` is still the same.
    """
    await service.remove(
        resources, caller, parse_script(script), alias, preconditions=conditions_of(request)
    )


routes: Final = (list_aliases, show_alias, move_alias, remove_alias)
