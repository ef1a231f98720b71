"""Serve the HTTP routes of API keys."""

from functools import partial
from uuid import UUID

from litestar import Response, Router, delete, post

from app.auth.callers import Caller
from app.auth.model import Scope
from app.http.authorization import needs
from app.http.bodies import AnyRequest, read_json, read_query
from app.http.idempotency import idempotency_key_of, replayed
from app.http.methods import get
from app.idempotency.model import Repeated, key_for
from app.idempotency.service import create_once
from app.keys import reference, service
from app.keys.model import CreatedKey, CreateKey, Key, parse_key_id
from app.limits import MAX_SMALL_BODY_BYTES
from app.pagination import Page
from app.resources import Resources


@post("/", operation_class=reference.CREATE_KEY, **needs(Scope.ADMIN, may_revoke_access=True))
async def create_key(
    request: AnyRequest, resources: Resources, caller: Caller
) -> Response[CreatedKey | Key]:
    """Create a key.

    The response contains the key itself, `crv_…`; it is not shown again, as only a hash of it is
    stored. If the API was open until now, as with `./start.sh`, every request needs a key from
    here on.
    """
    body = await read_json(request, CreateKey, max_bytes=MAX_SMALL_BODY_BYTES)
    once = key_for(idempotency_key_of(request), body)
    headers = {"Cache-Control": "no-store"}
    async with resources.pool.acquire() as conn:
        try:
            created = await create_once(
                conn,
                caller.tenant,
                once,
                partial(service.create, conn, caller, body),
                hours=resources.settings.idempotency_hours,
            )
        except Repeated as earlier:
            key = await service.find(conn, UUID(earlier.resource))
            headers |= {"Location": f"/keys/{key.id}", **replayed(is_replay=True)}
            return Response(key, status_code=200, headers=headers)
    headers["Location"] = f"/keys/{created.id}"
    return Response(created, status_code=201, headers=headers)


@get("/", operation_class=reference.LIST_KEYS, **needs(Scope.ADMIN))
async def list_keys(request: AnyRequest, resources: Resources) -> Page[Key]:
    """List keys.

    Newest first, a page at a time, without secrets; includes revoked and expired keys.
    """
    query = read_query(request, reference.KeyQuery)
    return await service.list_keys(
        resources.pool,
        tenant=query.tenant or None,
        cursor=query.cursor or None,
        limit=query.limit,
    )


@get("/{key:str}", operation_class=reference.SHOW_KEY, **needs(Scope.ADMIN))
async def show_key(key: str, resources: Resources) -> Key:
    """Show a key.

    The secret is not included.
    """
    async with resources.pool.acquire() as conn:
        return await service.find(conn, parse_key_id(key))


@delete(
    "/{key:str}",
    status_code=200,
    operation_class=reference.REVOKE_KEY,
    **needs(Scope.ADMIN, may_revoke_access=True),
)
async def revoke_key(key: str, resources: Resources, caller: Caller) -> Key:
    """Revoke a key.

    Permanently, and within a second on every API process. It stays in the list. An admin's key can
    revoke itself, even the last one: `./start.sh admin` then creates another.
    """
    async with resources.pool.acquire() as conn:
        return await service.revoke(conn, caller, parse_key_id(key))


router = Router(
    path="/keys", tags=["keys"], route_handlers=[create_key, list_keys, show_key, revoke_key]
)
