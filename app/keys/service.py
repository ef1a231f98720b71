"""Create, list and revoke API keys: an operator's business."""

from datetime import UTC, datetime
from uuid import UUID

from msgspec.structs import asdict

from app.audit.model import Action
from app.audit.store import record
from app.db import Connection, Pool
from app.errors import CrivoError, invalid
from app.http.access import Caller, Scope
from app.http.refusals import REVOKED, InvalidKey
from app.keys import store
from app.keys.model import (
    CreatedKey,
    CreateKey,
    Key,
    KeyIdTaken,
    KeyNotFound,
    is_weak,
    new_key,
    parse_key,
)
from app.pagination import Listing, Page
from app.tenants import service as tenants
from app.tenants.model import DEFAULT_TENANT, TenantNotFound
from app.validation import in_utc


class UnusableSeed(CrivoError):
    """The key that a setting gives cannot be the first admin key."""


async def create(
    conn: Connection, who: Caller, request: CreateKey, *, key: str | None = None
) -> CreatedKey:
    """Make a key, or take one that was made elsewhere; it is shown here and nowhere else.

    Raises InvalidRequest, and InvalidKey where the caller's own key is revoked by now.
    """
    key = key or new_key()
    presented = parse_key(key)
    assert presented is not None  # noqa: S101 - made above, or looked at by who gives one
    expires_at = None if request.expires_at is None else in_utc("expires_at", request.expires_at)
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise invalid("/expires_at", "lies in the past")
    async with conn.transaction():
        # Exactly, not within a second: a revoked key must not live on in one that it makes.
        if who.key_id is not None and not await store.hold_key(conn, who.key_id):
            raise InvalidKey(REVOKED)
        tenant_id = await _tenant(conn, request)
        scopes = sorted(set(request.scopes))
        await store.insert_key(
            conn,
            tenant_id,
            presented,
            name=request.name,
            scopes=scopes,
            expires_at=expires_at,
        )
        await record(
            conn,
            who,
            Action.KEY_CREATED,
            _target(presented.id),
            tenant=tenant_id,
            details={"name": request.name, "scopes": scopes, "expires_at": expires_at},
        )
        made = await find(conn, presented.id)
    return CreatedKey(**asdict(made), key=key)


async def find(conn: Connection, key_id: UUID) -> Key:
    """Give one key. Raises KeyNotFound."""
    found = await store.select_key(conn, key_id)
    if found is None:
        raise KeyNotFound(f"no key {key_id}; GET /keys lists them")
    return found


async def browse(pool: Pool, *, tenant: str | None, cursor: str | None, limit: int) -> Page[Key]:
    """Give a page of keys, of one tenant or of all. Raises TenantNotFound."""
    listing = Listing("keys", tenant)
    below = listing.below(cursor)
    async with pool.acquire() as conn:
        whose = None if tenant is None else (await tenants.find(conn, tenant)).id
        found = await store.select_key_page(conn, whose, below=below, limit=limit + 1)
    return listing.page(found, [key.id for key in found], limit=limit)


async def revoke(conn: Connection, who: Caller, key_id: UUID) -> Key:
    """Take a key back for ever; twice is no error, and nor is one's own. Raises KeyNotFound."""
    async with conn.transaction():
        changed = await store.revoke_key(conn, key_id)
        revoked = await find(conn, key_id)
        if changed:
            await record(conn, who, Action.KEY_REVOKED, _target(key_id), tenant=revoked.tenant_id)
    return revoked


async def ensure_admin_key(conn: Connection, who: Caller, key: str) -> bool:
    """Have the key of a setting as an admin's, once: a revoked one stays revoked.

    Says whether it was made now. Raises UnusableSeed.
    """
    presented = parse_key(key)
    if presented is None:
        raise UnusableSeed("is no key: crv_, 32 hexadecimal digits, _, 43 or more of A-Za-z0-9_-")
    if is_weak(key):
        raise UnusableSeed(
            "is a key that can be guessed: its secret repeats itself, counts, or has a word in "
            "it; openssl rand -hex 32 makes one"
        )
    request = CreateKey(name="seeded by CRIVO_ADMIN_KEY", scopes=list(Scope))
    try:
        await create(conn, who, request, key=key)
    except KeyIdTaken:
        stored = await store.select_stored_key(conn, presented.id)
        if stored is None or stored.secret_sha256 != presented.secret_sha256:
            raise UnusableSeed("has the id of another key, with another secret") from None
        return False
    return True


async def _tenant(conn: Connection, request: CreateKey) -> UUID:
    try:
        tenant_id = (await tenants.find(conn, request.tenant)).id
    except TenantNotFound as error:
        raise invalid("/tenant", error.detail) from None
    if Scope.ADMIN in request.scopes and tenant_id != DEFAULT_TENANT:
        raise invalid("/scopes", "'admin' is for keys of the tenant 'default' only")
    return tenant_id


def _target(key_id: UUID) -> str:
    return f"/keys/{key_id}"
