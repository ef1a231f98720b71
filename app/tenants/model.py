"""Define tenants, and the requests that create and change them."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from app.errors import Problem
from app.quotas.model import Bytes, Caps, Count
from app.references import Name, is_name, is_uuid

# Created by the first migration: the operator's own tenant, and that of an API without keys.
DEFAULT_TENANT: Final = UUID("00000000-0000-7000-8000-000000000001")

Weight = Annotated[int, Meta(ge=1, le=10_000)]


class CreateTenant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /tenants`; `weight` is its share of the workers relative to other tenants."""

    name: Name
    weight: Weight = 100
    caps: Caps = Caps()


class ChangeCaps(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Caps to change: null restores the installation's default, absent members stay as they are."""

    max_queued: Count | UnsetType | None = UNSET
    max_running: Count | UnsetType | None = UNSET
    max_stored_bytes: Bytes | UnsetType | None = UNSET
    max_bytes_per_day: Bytes | UnsetType | None = UNSET
    max_scripts: Count | UnsetType | None = UNSET
    max_versions: Count | UnsetType | None = UNSET
    max_requests_per_second: Count | UnsetType | None = UNSET


class ChangeTenant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PATCH /tenants/{tenant}`; absent members stay as they are."""

    suspended: bool | UnsetType = UNSET
    weight: Weight | UnsetType = UNSET
    caps: ChangeCaps = ChangeCaps()


class Tenant(Struct, frozen=True, kw_only=True):
    """A tenant with its weight and quotas (`caps`); `suspended_at` is null unless suspended."""

    id: UUID
    name: str
    weight: int
    caps: Caps
    created_at: datetime
    updated_at: datetime
    suspended_at: datetime | None


class TenantNotFound(Problem):
    """No tenant has that id or name."""

    status = 404
    code = "tenant-not-found"
    title = "There is no such tenant"


class TenantNameTaken(Problem):
    """Another tenant has the name."""

    status = 409
    code = "tenant-name-taken"
    title = "A tenant of that name exists already"


class OperatorsTenant(Problem):
    """The tenant `default` belongs to the operator, whose keys resume other tenants."""

    status = 409
    code = "operators-tenant"
    title = "The operator's own tenant cannot be suspended"


def parse_tenant(text: str) -> UUID | str:
    """Parse a tenant's id or name. Raises TenantNotFound for any other text."""
    if is_uuid(text):
        return UUID(text)
    if is_name(text):
        return text
    raise TenantNotFound(f"{text!r} is neither a tenant's id nor a name; GET /tenants lists them")
