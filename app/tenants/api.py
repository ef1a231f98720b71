"""Serve the HTTP routes of tenants."""

from functools import partial

from litestar import Response, Router, patch, post

from app.auth.callers import Caller
from app.auth.model import Scope
from app.http.authorization import needs
from app.http.bodies import AnyRequest, read_json, read_query
from app.http.idempotency import idempotency_key_of, replayed
from app.http.methods import get
from app.idempotency.model import Repeated, key_for
from app.idempotency.service import create_once
from app.limits import MAX_SMALL_BODY_BYTES
from app.pagination import Page, PageQuery
from app.resources import Resources
from app.tenants import reference, service
from app.tenants.model import ChangeTenant, CreateTenant, Tenant


@post("/", operation_class=reference.CREATE_TENANT, **needs(Scope.ADMIN))
async def create_tenant(
    request: AnyRequest, resources: Resources, caller: Caller
) -> Response[Tenant]:
    """Create a tenant.

    It has no key yet: `POST /keys` creates them. `weight` is its share of the workers relative to
    other tenants; a cap of null stands for the installation's default.
    """
    body = await read_json(request, CreateTenant, max_bytes=MAX_SMALL_BODY_BYTES)
    key = key_for(idempotency_key_of(request), body)
    is_replay = False
    async with resources.pool.acquire() as conn:
        try:
            created = await create_once(
                conn,
                caller.tenant,
                key,
                partial(service.create, conn, caller, body),
                hours=resources.settings.idempotency_hours,
            )
        except Repeated as earlier:
            created, is_replay = await service.find(conn, earlier.resource), True
    headers = {"Location": f"/tenants/{created.id}", **replayed(is_replay=is_replay)}
    return Response(created, status_code=201, headers=headers)


@get("/", operation_class=reference.LIST_TENANTS, **needs(Scope.ADMIN))
async def list_tenants(request: AnyRequest, resources: Resources) -> Page[Tenant]:
    """List tenants.

    Newest first, a page at a time.
    """
    query = read_query(request, PageQuery)
    return await service.list_tenants(
        resources.pool, cursor=query.cursor or None, limit=query.limit
    )


# The parameter `tenant` is the caller's own in every handler, so this one is `name`.
@get("/{name:str}", operation_class=reference.SHOW_TENANT, **needs(Scope.ADMIN))
async def show_tenant(name: str, resources: Resources) -> Tenant:
    """Show a tenant.

    By its name or id.
    """
    async with resources.pool.acquire() as conn:
        return await service.find(conn, name)


@patch("/{name:str}", operation_class=reference.CHANGE_TENANT, **needs(Scope.ADMIN))
async def change_tenant(
    name: str, request: AnyRequest, resources: Resources, caller: Caller
) -> Tenant:
    """Change a tenant.

    Changes its weight and caps, suspends it or resumes it. The keys of a suspended tenant are
    refused within a second, and its queued executions wait until it is resumed; running ones
    finish. The tenant `default` is the operator's own and cannot be suspended.
    """
    change = await read_json(request, ChangeTenant, max_bytes=MAX_SMALL_BODY_BYTES)
    async with resources.pool.acquire() as conn:
        return await service.change(conn, caller, name, change)


router = Router(
    path="/tenants",
    tags=["tenants"],
    route_handlers=[create_tenant, list_tenants, show_tenant, change_tenant],
)
