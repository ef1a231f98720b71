"""Create, list and revoke API keys, as an operator."""

from datetime import UTC, datetime
from uuid import UUID

from msgspec.structs import asdict

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller
from app.auth.errors import KEY_REVOKED, InvalidKey
from app.auth.model import Scope
from app.db import Connection, Pool
from app.errors import CrivoError, invalid
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
from app.pagination import Page, Paginator
from app.tenants import service as tenants
from app.tenants.model import DEFAULT_TENANT, TenantNotFound
from app.validation import in_utc


class UnusableAdminKey(CrivoError):
    """The key of CRIVO_ADMIN_KEY is malformed, weak, or conflicts with another key."""


async def create(
    conn: Connection, caller: Caller, request: CreateKey, *, key: str | None = None
) -> CreatedKey:
    """Create a key, or store the given one; only this result contains it.

    Raises InvalidRequest; InvalidKey if the caller's own key has been revoked.
    """
    key = key or new_key()
    parsed = parse_key(key)
    assert parsed is not None  # noqa: S101 - generated above, or checked by ensure_admin_key
    expires_at = None if request.expires_at is None else in_utc("expires_at", request.expires_at)
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise invalid("/expires_at", "lies in the past")
    async with conn.transaction():
        # At once, not within a second: a revoked key must not live on in one that it creates.
        if caller.key_id is not None and not await store.lock_unrevoked_key(conn, caller.key_id):
            raise InvalidKey(KEY_REVOKED)
        tenant_id = await _find_tenant(conn, request)
        scopes = sorted(set(request.scopes))
        await store.insert_key(
            conn,
            tenant_id,
            parsed,
            name=request.name,
            scopes=scopes,
            expires_at=expires_at,
        )
        await log_action(
            conn,
            caller,
            Action.KEY_CREATED,
            _target(parsed.id),
            tenant=tenant_id,
            details={"name": request.name, "scopes": scopes, "expires_at": expires_at},
        )
        created = await find(conn, parsed.id)
    return CreatedKey(**asdict(created), key=key)


async def find(conn: Connection, key_id: UUID) -> Key:
    """Return one key. Raises KeyNotFound."""
    key = await store.select_key(conn, key_id)
    if key is None:
        raise KeyNotFound(f"no key {key_id}; GET /keys lists them")
    return key


async def list_keys(pool: Pool, *, tenant: str | None, cursor: str | None, limit: int) -> Page[Key]:
    """Return a page of keys, of one tenant or of all. Raises TenantNotFound, InvalidRequest."""
    paginator = Paginator("keys", tenant)
    below = paginator.below(cursor)
    async with pool.acquire() as conn:
        tenant_id = None if tenant is None else (await tenants.find(conn, tenant)).id
        keys = await store.select_key_page(conn, tenant_id, below=below, limit=limit + 1)
    return paginator.page(keys, [key.id for key in keys], limit=limit)


async def revoke(conn: Connection, caller: Caller, key_id: UUID) -> Key:
    """Revoke a key, also the caller's own; a revoked one stays as it is. Raises KeyNotFound."""
    async with conn.transaction():
        changed = await store.revoke_key(conn, key_id)
        key = await find(conn, key_id)
        if changed:
            await log_action(
                conn, caller, Action.KEY_REVOKED, _target(key_id), tenant=key.tenant_id
            )
    return key


async def ensure_admin_key(conn: Connection, caller: Caller, key: str) -> bool:
    """Store the key of CRIVO_ADMIN_KEY unless it exists; a revoked one stays revoked.

    Returns whether it is new. Raises UnusableAdminKey.
    """
    parsed = parse_key(key)
    if parsed is None:
        raise UnusableAdminKey(
            "is not a key: crv_, 32 hexadecimal digits, _, 43 or more of A-Za-z0-9_-"
        )
    if is_weak(key):
        raise UnusableAdminKey(
            "can be guessed: its secret repeats itself, counts, or has a word in it; "
            "openssl rand -hex 32 generates one"
        )
    request = CreateKey(name="seeded by CRIVO_ADMIN_KEY", scopes=list(Scope))
    try:
        await create(conn, caller, request, key=key)
    except KeyIdTaken:
        stored = await store.select_stored_key(conn, parsed.id)
        if stored is None or stored.secret_sha256 != parsed.secret_sha256:
            raise UnusableAdminKey("has the id of another key, with another secret") from None
        return False
    return True


async def _find_tenant(conn: Connection, request: CreateKey) -> UUID:
    try:
        tenant_id = (await tenants.find(conn, request.tenant)).id
    except TenantNotFound as error:
        raise invalid("/tenant", error.detail) from None
    if Scope.ADMIN in request.scopes and tenant_id != DEFAULT_TENANT:
        raise invalid("/scopes", "'admin' is for keys of the tenant 'default' only")
    return tenant_id


def _target(key_id: UUID) -> str:
    return f"/keys/{key_id}"
