"""Create, list, change and suspend tenants, as an operator."""

from uuid import UUID

import uuid_utils.compat as uuid
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict, replace

from app.audit.model import Action
from app.audit.store import log_action
from app.auth.callers import Caller
from app.db import Connection, Pool
from app.errors import invalid
from app.pagination import Page, Paginator
from app.references import is_uuid
from app.tenants import store
from app.tenants.model import (
    DEFAULT_TENANT,
    ChangeTenant,
    CreateTenant,
    OperatorsTenant,
    Tenant,
    TenantNotFound,
    parse_tenant,
)


async def create(conn: Connection, caller: Caller, request: CreateTenant) -> Tenant:
    """Create a tenant. Raises InvalidRequest, TenantNameTaken."""
    if is_uuid(request.name):
        raise invalid("/name", "a name cannot look like an id")
    tenant_id = uuid.uuid7()
    async with conn.transaction():
        await store.insert_tenant(
            conn, tenant_id, name=request.name, weight=request.weight, caps=request.caps
        )
        await log_action(
            conn,
            caller,
            Action.TENANT_CREATED,
            _target(tenant_id),
            tenant=tenant_id,
            details={"name": request.name, "weight": request.weight, "caps": asdict(request.caps)},
        )
        return await find(conn, str(tenant_id))


async def find(conn: Connection, tenant: str) -> Tenant:
    """Return one tenant by its id or name. Raises TenantNotFound."""
    return _require(await store.select_tenant(conn, parse_tenant(tenant)), tenant)


async def list_tenants(pool: Pool, *, cursor: str | None, limit: int) -> Page[Tenant]:
    """Return a page of tenants, newest first. Raises InvalidRequest."""
    paginator = Paginator("tenants")
    below = paginator.below(cursor)
    async with pool.acquire() as conn:
        page = await store.select_tenant_page(conn, below=below, limit=limit + 1)
    return paginator.page(page, [tenant.id for tenant in page], limit=limit)


async def change(conn: Connection, caller: Caller, tenant: str, request: ChangeTenant) -> Tenant:
    """Change a tenant's weight and caps, suspend or resume it; without a change nothing is logged.

    Raises TenantNotFound, OperatorsTenant.
    """
    async with conn.transaction():
        before = _require(await store.lock_tenant(conn, parse_tenant(tenant)), tenant)
        if request.suspended is True and before.id == DEFAULT_TENANT:
            raise OperatorsTenant(
                "the tenant 'default' holds the keys that could resume it; revoke keys instead"
            )
        caps = {name: value for name, value in asdict(request.caps).items() if value is not UNSET}
        weight = before.weight if isinstance(request.weight, UnsetType) else request.weight
        was_suspended = before.suspended_at is not None
        suspended = was_suspended if isinstance(request.suspended, UnsetType) else request.suspended
        new_caps = replace(before.caps, **caps)
        if (weight, new_caps, suspended) == (before.weight, before.caps, was_suspended):
            return before
        await store.update_tenant(
            conn, before.id, weight=weight, caps=new_caps, suspended=suspended
        )
        await log_action(
            conn,
            caller,
            _action(was_suspended=was_suspended, suspended=suspended),
            _target(before.id),
            tenant=before.id,
            details={"weight": weight, "caps": caps},
        )
        return await find(conn, str(before.id))


def _action(*, was_suspended: bool, suspended: bool) -> Action:
    if was_suspended == suspended:
        return Action.TENANT_CHANGED
    return Action.TENANT_SUSPENDED if suspended else Action.TENANT_RESUMED


def _target(tenant_id: UUID) -> str:
    return f"/tenants/{tenant_id}"


def _require(tenant: Tenant | None, text: str) -> Tenant:
    if tenant is None:
        raise TenantNotFound(f"no tenant {text!r}; GET /tenants lists them")
    return tenant
