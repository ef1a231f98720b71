"""HTTP routes of API keys."""

from litestar import Response, Router, delete, post

from app.http.access import Caller, Scope, needs
from app.http.bodies import AnyRequest, read_json, read_query
from app.http.methods import get
from app.http.pagination import Page
from app.keys import reference, service
from app.keys.model import CreatedKey, CreateKey, Key, parse_key_id
from app.limits import MAX_SMALL_BODY_BYTES
from app.resources import Resources


@post("/", operation_class=reference.CREATE_KEY, **needs(Scope.ADMIN, ends_access=True))
async def create_key(
    request: AnyRequest, resources: Resources, who: Caller
) -> Response[CreatedKey]:
    """Create a key.

    The answer has the key itself, `crv_…`, this once: only a hash of it is kept. The API
    of an installation that ran open until now, as `./start.sh` does, asks everybody for a key
    from here on.
    """
    wanted = await read_json(request, CreateKey, max_bytes=MAX_SMALL_BODY_BYTES)
    async with resources.pool.acquire() as conn:
        made = await service.create(conn, who, wanted)
    headers = {"Location": f"/keys/{made.id}", "Cache-Control": "no-store"}
    return Response(made, status_code=201, headers=headers)


@get("/", operation_class=reference.LIST_KEYS, **needs(Scope.ADMIN))
async def list_keys(request: AnyRequest, resources: Resources) -> Page[Key]:
    """List keys.

    Newest first, a page at a time, without their secrets; revoked and expired ones, too.
    """
    choices = read_query(request, reference.ListChoices)
    return await service.browse(
        resources.pool,
        tenant=choices.tenant or None,
        cursor=choices.cursor or None,
        limit=choices.limit,
    )


@get("/{key:str}", operation_class=reference.SHOW_KEY, **needs(Scope.ADMIN))
async def show_key(key: str, resources: Resources) -> Key:
    """Show a key.

    Without its secret.
    """
    async with resources.pool.acquire() as conn:
        return await service.find(conn, parse_key_id(key))


@delete(
    "/{key:str}",
    status_code=200,
    operation_class=reference.REVOKE_KEY,
    **needs(Scope.ADMIN, ends_access=True),
)
async def revoke_key(key: str, resources: Resources, who: Caller) -> Key:
    """Revoke a key.

    For ever, and within a second on every API process. It stays in the list. An admin's key can
    revoke itself, and can be the last one: `./start.sh admin` then makes another.
    """
    async with resources.pool.acquire() as conn:
        return await service.revoke(conn, who, parse_key_id(key))


router = Router(
    path="/keys", tags=["keys"], route_handlers=[create_key, list_keys, show_key, revoke_key]
)
