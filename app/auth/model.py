"""Describe callers: their scopes, how they were authenticated, and the principal behind a key."""

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct

from app.auth.errors import KEY_EXPIRED, InvalidKey, TenantSuspended
from app.quotas.model import Caps


class Scope(StrEnum):
    """What a key permits. No scope implies another."""

    READ = "read"
    WRITE_SCRIPTS = "scripts:write"
    WRITE_EXECUTIONS = "executions:write"
    WRITE_DATASETS = "datasets:write"
    WRITE_SCHEMAS = "schemas:write"
    WRITE_PIPES = "pipes:write"
    WRITE_EVENTS = "events:write"
    ADMIN = "admin"


ALL_SCOPES: Final = frozenset(Scope)


class AuthMethod(StrEnum):
    """How a caller was authenticated."""

    KEY = "key"
    # Without a key, where the API is open.
    OPEN = "open"
    # The operations command, which has access to the database itself.
    COMMAND = "command"


# The name of its schema in the OpenAPI document, and so of a type in generated clients.
AuthMethod.__name__ = "Via"


class Principal(Struct, frozen=True, kw_only=True):
    """The tenant and permissions behind a key, or behind a request without one to an open API."""

    tenant: UUID
    suspended: bool
    weight: int
    caps: Caps
    scopes: frozenset[Scope]
    key_id: UUID | None = None
    expires_at: datetime | None = None

    def require_active(self, now: datetime) -> None:
        """Check expiry and suspension. Raises InvalidKey, TenantSuspended."""
        if self.expires_at is not None and self.expires_at <= now:
            raise InvalidKey(KEY_EXPIRED)
        if self.suspended:
            raise TenantSuspended
