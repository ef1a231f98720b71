"""Describe the caller of an operation, and re-check its access."""

import asyncio
from typing import Final, Protocol
from uuid import UUID

from msgspec import Struct

from app.auth.model import AuthMethod, Principal, Scope
from app.fair_queue import DEFAULT_WEIGHT
from app.outages import DatabaseUnavailable
from app.quotas.model import Caps

# A check this recent is not repeated. The key cache trusts its entries for 0.9 s; together that
# is the second within which a revocation takes effect everywhere.
RECENT_SECONDS: Final = 0.1
# How long a transaction waits for a check that needs a connection besides its own.
_TRANSACTION_SECONDS: Final = 1.0


class Recheck(Protocol):
    """Authenticates and authorizes the same request again."""

    async def __call__(self) -> Principal:
        """Return the caller's current principal. Raises AuthError, DatabaseUnavailable."""


class Caller(Struct, kw_only=True):
    """The caller of an operation: its tenant, permissions and origin.

    `caps`, `weight` (the tenant's share beside other tenants') and `scopes` are those of the last
    check; `reauthorize` renews them, so this struct is not frozen.
    """

    tenant: UUID
    weight: int = DEFAULT_WEIGHT
    caps: Caps
    auth_method: AuthMethod
    key_id: UUID | None
    scopes: frozenset[Scope]
    address: str | None
    request_id: str
    traceparent: str | None = None
    # None for the operations command, whose access is the database's own.
    recheck: Recheck | None = None
    # When access was last checked, by the event loop's clock.
    checked_at: float = 0.0


async def reauthorize(caller: Caller) -> None:
    """Check that an admitted caller still has access, and renew its caps.

    Called before anything is written or returned after a wait: for a body, a sandbox or the end
    of an execution (`app.http.reauthorization` does so for every route). A recent check is not
    repeated. Raises AuthError, DatabaseUnavailable.
    """
    now = asyncio.get_running_loop().time()
    if caller.recheck is None or now - caller.checked_at < RECENT_SECONDS:
        return
    principal = await caller.recheck()
    caller.caps, caller.weight, caller.scopes = principal.caps, principal.weight, principal.scopes
    caller.checked_at = now


async def reauthorize_before_commit(caller: Caller) -> None:
    """Check access as the last step of a transaction, whose locks may have taken a while to get.

    Raises what `reauthorize` raises. The check is from memory, and from the database where that
    is not current; if all connections are taken, by transactions that check as well, it fails.
    """
    try:
        async with asyncio.timeout(_TRANSACTION_SECONDS):
            await reauthorize(caller)
    except TimeoutError:
        raise DatabaseUnavailable(reason="no connection is free to check a key") from None
