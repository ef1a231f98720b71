"""SQL of callbacks, of the secrets that sign them, and of disabled URLs."""

from collections.abc import Sequence
from uuid import UUID

from app.callbacks.model import MAX_DISABLED_URLS, Callback, DisabledUrl, Secret
from app.db import Connection, from_row

SELECT_CALLBACKS = """
SELECT c.id, c.url, c.status, c.created_at, c.next_attempt_at,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('number', a.number,
                                                     'started_at', a.started_at,
                                                     'status_code', a.status_code)
                                  ORDER BY a.number), '[]')
        FROM callback_attempts AS a
        WHERE a.tenant_id = c.tenant_id AND a.callback_id = c.id) AS attempts
FROM callbacks AS c
WHERE c.tenant_id = $1 AND c.subject = $2 AND c.subject_id = $3
ORDER BY c.created_at, c.id
"""


async def select_callbacks(
    conn: Connection, tenant: UUID, subject: str, subject_id: UUID
) -> list[Callback]:
    """List the callbacks of a resource with their attempts."""
    rows = await conn.fetch(SELECT_CALLBACKS, tenant, subject, subject_id)
    return [from_row(Callback, row) for row in rows]


# An attempt under way is fenced off: its answer does not end the callback that was just resent.
RESEND = """
UPDATE callbacks
SET status = 'pending', next_attempt_at = clock_timestamp(), tries = 0, unrecorded = 0,
    lease_token = NULL
WHERE tenant_id = $1 AND id = $2
"""


async def resend(conn: Connection, tenant: UUID, callback_id: UUID) -> None:
    """Make a callback due now, at the begin of its schedule."""
    await conn.execute(RESEND, tenant, callback_id)


SELECT_SECRETS = """
SELECT id, created_at, expires_at
FROM callback_secrets
WHERE tenant_id = $1 AND (expires_at IS NULL OR expires_at > clock_timestamp())
ORDER BY id DESC
"""


async def select_secrets(conn: Connection, tenant: UUID) -> list[Secret]:
    """List the secrets that sign a tenant's callbacks, newest first."""
    return [from_row(Secret, row) for row in await conn.fetch(SELECT_SECRETS, tenant)]


SELECT_SIGNING_SECRETS = """
SELECT secret
FROM callback_secrets
WHERE tenant_id = $1 AND (expires_at IS NULL OR expires_at > clock_timestamp())
ORDER BY id DESC
"""


async def select_signing_secrets(conn: Connection, tenant: UUID) -> list[bytes]:
    """Return the bytes of the secrets that sign a tenant's callbacks, newest first."""
    return [row["secret"] for row in await conn.fetch(SELECT_SIGNING_SECRETS, tenant)]


# Creations of a tenant's secrets take turns: each is the newest of its moment.
LOCK_SECRETS = """
SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 2))
"""

EXPIRE_SECRETS = """
UPDATE callback_secrets
SET expires_at = least(expires_at, clock_timestamp() + make_interval(secs => $2))
WHERE tenant_id = $1
"""

DELETE_OLD_SECRETS = """
WITH kept AS (
    SELECT tenant_id, id
    FROM callback_secrets
    WHERE tenant_id = $1 AND expires_at > clock_timestamp()
    ORDER BY id DESC
    LIMIT $2
)
DELETE FROM callback_secrets AS s
WHERE s.tenant_id = $1 AND NOT EXISTS (SELECT FROM kept WHERE kept.id = s.id)
"""

INSERT_SECRET = """
INSERT INTO callback_secrets (id, tenant_id, secret)
VALUES ($1, $2, $3)
"""  # noqa: S105 - a statement


async def lock_secrets(conn: Connection, tenant: UUID) -> None:
    """Let the transaction be the only one that changes a tenant's secrets."""
    await conn.execute(LOCK_SECRETS, tenant)


async def replace_secret(
    conn: Connection,
    tenant: UUID,
    secret_id: UUID,
    secret: bytes,
    *,
    overlap_seconds: float,
    keep: int,
) -> None:
    """Insert a secret; older ones sign for `overlap_seconds` at most, and only `keep` of them."""
    await conn.execute(EXPIRE_SECRETS, tenant, overlap_seconds)
    await conn.execute(DELETE_OLD_SECRETS, tenant, keep)
    await conn.execute(INSERT_SECRET, secret_id, tenant, secret)


_DISABLED = """
SELECT id, url, disabled_at
FROM disabled_callback_urls
"""

SELECT_DISABLED_PAGE = (
    _DISABLED
    + """
WHERE tenant_id = $1 AND id < $2
ORDER BY id DESC
LIMIT $3
"""
)


async def select_disabled_page(
    conn: Connection, tenant: UUID, *, below: UUID, limit: int
) -> Sequence[DisabledUrl]:
    """List a tenant's disabled URLs, the last disabled first."""
    rows = await conn.fetch(SELECT_DISABLED_PAGE, tenant, below, limit)
    return [from_row(DisabledUrl, row) for row in rows]


SELECT_IS_DISABLED = """
SELECT EXISTS (SELECT FROM disabled_callback_urls WHERE tenant_id = $1 AND url = $2)
"""


async def is_disabled(conn: Connection, tenant: UUID, url: str) -> bool:
    """Return whether a tenant's URL is disabled."""
    return bool(await conn.fetchval(SELECT_IS_DISABLED, tenant, url))


DELETE_DISABLED = """
DELETE FROM disabled_callback_urls
WHERE tenant_id = $1 AND id = $2
RETURNING id, url, disabled_at
"""


async def delete_disabled(conn: Connection, tenant: UUID, disabled_id: UUID) -> DisabledUrl | None:
    """Enable a URL again; None without such a disabled URL."""
    row = await conn.fetchrow(DELETE_DISABLED, tenant, disabled_id)
    return None if row is None else from_row(DisabledUrl, row)


INSERT_DISABLED = """
INSERT INTO disabled_callback_urls (id, tenant_id, url)
VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING
"""

DELETE_OLD_DISABLED = f"""
DELETE FROM disabled_callback_urls
WHERE tenant_id = $1 AND id IN (
    SELECT id
    FROM disabled_callback_urls
    WHERE tenant_id = $1
    ORDER BY id DESC
    OFFSET {MAX_DISABLED_URLS}
)
"""  # noqa: S608 - put together from constants

# Without attempts under way, whose outcomes are still recorded, and those that are locked: two that
# were answered with 410 at once would wait for each other. One that stays pending gets its own 410.
DISABLE_PENDING = """
WITH pending AS MATERIALIZED (
    SELECT tenant_id, id
    FROM callbacks
    WHERE tenant_id = $1 AND status = 'pending' AND url = $2
      AND (lease_token IS NULL OR next_attempt_at <= clock_timestamp())
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE callbacks AS c
SET status = 'disabled', next_attempt_at = NULL, lease_token = NULL
FROM pending
WHERE c.tenant_id = pending.tenant_id AND c.id = pending.id
"""


async def disable_url(conn: Connection, tenant: UUID, disabled_id: UUID, url: str) -> None:
    """Disable a tenant's URL, and its pending callbacks without an attempt under way."""
    await conn.execute(INSERT_DISABLED, disabled_id, tenant, url)
    await conn.execute(DELETE_OLD_DISABLED, tenant)
    await conn.execute(DISABLE_PENDING, tenant, url)
