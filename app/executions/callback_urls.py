"""Check the callback URLs of submissions, and that their tenant may have more callbacks."""

from collections.abc import Callable
from functools import partial
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from app.db import Connection
from app.egress.policy import callback_policy
from app.egress.targets import MAX_URL_CHARACTERS, UnusableTarget, parse_target
from app.errors import InvalidRequest, invalid, invalid_parameter
from app.idempotency.model import RequestKey
from app.idempotency.store import is_known
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Quota
from app.resources import Resources
from app.settings import Settings

CallbackUrl = Annotated[
    str, Meta(max_length=MAX_URL_CHARACTERS, extra_json_schema={"format": "uri"})
]


def callback_url_in_json(settings: Settings, url: str | None) -> str | None:
    """Check the URL of an envelope and return its one spelling. Raises InvalidRequest."""
    return _checked(settings, url, partial(invalid, "/callback_url"))


def callback_url_in_query(settings: Settings, url: str | None) -> str | None:
    """Check the URL of a query and return its one spelling. Raises InvalidRequest."""
    return _checked(settings, url, partial(invalid_parameter, "callback_url"))


def _checked(
    settings: Settings, url: str | None, refused: Callable[[str], InvalidRequest]
) -> str | None:
    if url is None:
        return None
    if not settings.callbacks:
        raise refused("callbacks are turned off here")
    try:
        return parse_target(url, callback_policy(settings)).url
    except UnusableTarget as error:
        raise refused(str(error)) from None


COUNT_PENDING_CALLBACKS = """
SELECT count(*)
FROM (SELECT FROM callbacks WHERE tenant_id = $1 AND status = 'pending' LIMIT $2) AS pending
"""


async def count_pending_callbacks(conn: Connection, tenant: UUID, *, limit: int) -> int:
    """Count a tenant's pending callbacks, up to a limit."""
    count: int = await conn.fetchval(COUNT_PENDING_CALLBACKS, tenant, limit)
    return count


async def require_room_for_callback(
    resources: Resources, tenant: UUID, key: RequestKey | None = None
) -> None:
    """Refuse one more callback while too many wait for their delivery. Raises QuotaExceeded.

    Executions that have not ended are not counted: their own quota bounds them. A repetition of a
    request is not refused: it adds none.
    """
    limit = resources.settings.max_pending_callbacks
    if not limit:
        return
    async with resources.pool.acquire() as conn:
        pending = await count_pending_callbacks(conn, tenant, limit=limit)
        if pending < limit or (key is not None and await is_known(conn, tenant, key)):
            return
    raise QuotaExceeded(Quota.PENDING_CALLBACKS, limit=limit, used=pending)
