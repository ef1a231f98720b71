"""Delete dead letters by age, with their events.

Statements here serve all tenants: age alone decides.
"""

from collections.abc import Sequence
from typing import Final

from app.db import Connection, from_row
from app.payloads.model import ExpiredBatch, Expiry, PayloadOwner
from app.progress.expiry import COUNTED

# By the last failure: what a re-drive has tried meanwhile is kept as long as what is new.
DELETE_LETTERS = f"""
WITH due AS MATERIALIZED (
    SELECT d.tenant_id, d.id
    FROM dead_letters AS d
    WHERE d.failed_at < now() - make_interval(days => $1)
    ORDER BY d.failed_at, d.id
    LIMIT $2
    FOR UPDATE OF d SKIP LOCKED
),
deleted AS (
    DELETE FROM dead_letters AS d
    USING due
    WHERE d.tenant_id = due.tenant_id AND d.id = due.id
    RETURNING d.id
)
SELECT
{COUNTED}
"""  # noqa: S608 - put together from constants


async def delete_letters(conn: Connection, days: int, limit: int) -> ExpiredBatch:
    """Delete up to `limit` letters that failed more than `days` ago the last time."""
    return from_row(ExpiredBatch, *await conn.fetch(DELETE_LETTERS, days, limit))


async def select_referenced_keys(_conn: Connection, _keys: Sequence[str]) -> set[str]:
    """Return none: events are in their rows."""
    return set()


DEAD_LETTER_OWNER: Final = PayloadOwner(
    name="dead_letters",
    folders=frozenset(),
    select_referenced_keys=select_referenced_keys,
    expiries=(
        Expiry(
            days=lambda settings: settings.dead_letter_days,
            expire_batch=delete_letters,
            event="retention.dead_letters_deleted",
        ),
    ),
)
