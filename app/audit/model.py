"""Changes as data: never a secret, never a payload."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from msgspec import Struct

from app.http.access import Via


class Action(StrEnum):
    """What can be changed, and how."""

    SCRIPT_CREATED = "script.created"
    SCRIPT_DESCRIBED = "script.described"
    SCRIPT_ARCHIVED = "script.archived"
    SCRIPT_RESTORED = "script.restored"
    VERSION_ADDED = "version.added"
    ALIAS_MOVED = "alias.moved"
    ALIAS_REMOVED = "alias.removed"
    TENANT_CREATED = "tenant.created"
    TENANT_CHANGED = "tenant.changed"
    TENANT_SUSPENDED = "tenant.suspended"
    TENANT_RESUMED = "tenant.resumed"
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    EXECUTION_CANCELLED = "execution.cancelled"
    EXECUTION_ERASED = "execution.erased"


class Entry(Struct, frozen=True, kw_only=True):
    """One change. `target` is the address of what changed, `tenant_id` whose it is.

    `via` says how whoever did it got in: with the key `key_id`, without one where the API runs
    open, or by the operations command on the database itself. `address` is that of the
    connection, or what trusted proxies say of it (`CRIVO_TRUSTED_PROXIES`).
    """

    id: UUID
    created_at: datetime
    tenant_id: UUID
    via: Via
    key_id: UUID | None
    address: str | None
    request_id: str
    action: Action
    target: str
    details: dict[str, Any]


class EntryFilter(Struct, frozen=True, kw_only=True):
    """Which changes a list shows; None is no condition."""

    tenant_id: UUID | None
    key_id: UUID | None
    action: Action | None
    target: str | None
    created_from: datetime | None
    created_before: datetime | None
