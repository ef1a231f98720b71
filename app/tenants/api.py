"""HTTP routes of tenants."""

from litestar import Response, Router, patch, post

from app.http.access import Caller, Scope, needs
from app.http.bodies import AnyRequest, read_json, read_query
from app.http.methods import get
from app.http.pagination import Page, PageChoices
from app.limits import MAX_SMALL_BODY_BYTES
from app.resources import Resources
from app.tenants import reference, service
from app.tenants.model import ChangeTenant, CreateTenant, Tenant


@post("/", operation_class=reference.CREATE_TENANT, **needs(Scope.ADMIN))
async def create_tenant(request: AnyRequest, resources: Resources, who: Caller) -> Response[Tenant]:
    """Create a tenant.

    It has no key yet: `POST /keys` makes them. `weight` is its share of the workers beside that
    of other tenants; caps that are null are the installation's defaults.
    """
    wanted = await read_json(request, CreateTenant, max_bytes=MAX_SMALL_BODY_BYTES)
    async with resources.pool.acquire() as conn:
        made = await service.create(conn, who, wanted)
    return Response(made, status_code=201, headers={"Location": f"/tenants/{made.id}"})


@get("/", operation_class=reference.LIST_TENANTS, **needs(Scope.ADMIN))
async def list_tenants(request: AnyRequest, resources: Resources) -> Page[Tenant]:
    """List tenants.

    Newest first, a page at a time.
    """
    choices = read_query(request, PageChoices)
    return await service.browse(resources.pool, cursor=choices.cursor or None, limit=choices.limit)


# Not `tenant`: that is the caller's own, in every handler.
@get("/{name:str}", operation_class=reference.SHOW_TENANT, **needs(Scope.ADMIN))
async def show_tenant(name: str, resources: Resources) -> Tenant:
    """Show a tenant.

    By its name or its id.
    """
    async with resources.pool.acquire() as conn:
        return await service.find(conn, name)


@patch("/{name:str}", operation_class=reference.CHANGE_TENANT, **needs(Scope.ADMIN))
async def change_tenant(
    name: str, request: AnyRequest, resources: Resources, who: Caller
) -> Tenant:
    """Change a tenant.

    Its share, its caps, and whether it is served. The keys of a suspended tenant are refused
    within a second, and what it has queued waits until it is resumed; what runs, runs to its
    end. The tenant `default` is the operator's own and cannot be suspended.
    """
    change = await read_json(request, ChangeTenant, max_bytes=MAX_SMALL_BODY_BYTES)
    async with resources.pool.acquire() as conn:
        return await service.change(conn, who, name, change)


router = Router(
    path="/tenants",
    tags=["tenants"],
    route_handlers=[create_tenant, list_tenants, show_tenant, change_tenant],
)
