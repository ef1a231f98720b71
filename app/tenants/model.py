"""Tenants as data."""

import re
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from app.errors import Problem
from app.http.access import Bytes, Caps, Count

# Made by the first migration: it is the operator's own, and the one of an API without keys.
DEFAULT_TENANT: Final = UUID("00000000-0000-7000-8000-000000000001")

_NAME: Final = r"^[a-z0-9][a-z0-9._-]{0,62}$"
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

TenantName = Annotated[str, Meta(pattern=rf"{_NAME}(?!\n)")]
Weight = Annotated[int, Meta(ge=1, le=10_000)]


class CreateTenant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /tenants`; `weight` is the tenant's share of the workers beside others'."""

    name: TenantName
    weight: Weight = 100
    caps: Caps = Caps()


class ChangeCaps(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Quotas to change: null goes back to the installation's default, what is left out stays."""

    max_queued: Count | UnsetType | None = UNSET
    max_running: Count | UnsetType | None = UNSET
    max_stored_bytes: Bytes | UnsetType | None = UNSET
    max_bytes_per_day: Bytes | UnsetType | None = UNSET
    max_scripts: Count | UnsetType | None = UNSET
    max_versions: Count | UnsetType | None = UNSET
    max_requests_per_second: Count | UnsetType | None = UNSET


class ChangeTenant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PATCH /tenants/{tenant}`; what is left out stays as it is."""

    suspended: bool | UnsetType = UNSET
    weight: Weight | UnsetType = UNSET
    caps: ChangeCaps = ChangeCaps()


class Tenant(Struct, frozen=True, kw_only=True):
    """A tenant, its share and its quotas (`caps`); `suspended_at` is null while it is served."""

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
    """The tenant `default` is the operator's, whose keys resume all others."""

    status = 409
    code = "operators-tenant"
    title = "The operator's own tenant cannot be suspended"


def parse_tenant(text: str) -> UUID | str:
    """Read a tenant's id or name. Raises TenantNotFound for what cannot be either."""
    if _UUID.fullmatch(text):
        return UUID(text)
    if re.match(rf"{_NAME[:-1]}\Z", text):
        return text
    raise TenantNotFound(f"{text!r} is neither a tenant's id nor a name; GET /tenants lists them")


def may_name_a_tenant(text: str) -> bool:
    """Say whether a text that fits the pattern is a name: what looks like an id is none."""
    return _UUID.fullmatch(text) is None
