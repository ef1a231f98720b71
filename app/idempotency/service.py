"""Create resources once for each idempotency key."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar
from uuid import UUID

from app.db import Connection
from app.idempotency.model import IdempotencyKey
from app.idempotency.store import remember, require_new


class Resource(Protocol):
    """A resource that its id names."""

    @property
    def id(self) -> UUID:
        """The id that its route takes."""
        ...


R = TypeVar("R", bound=Resource)


async def create_once(
    conn: Connection,
    tenant: UUID,
    key: IdempotencyKey | None,
    create: Callable[[], Awaitable[R]],
    *,
    hours: int,
) -> R:
    """Run `create`, which uses this connection, unless a request with this key has done so.

    Raises Repeated, IdempotencyKeyReused, RequestInProgress, and what `create` raises.
    """
    if key is None:
        return await create()
    async with conn.transaction():
        await require_new(conn, tenant, key)
        created = await create()
        await remember(conn, tenant, key, str(created.id), hours=hours)
    return created
