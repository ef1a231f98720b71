"""Find the exports whose files are, or will be, where another one is to put its own."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec import Struct

from app.db import Connection, optional_from_row
from app.exports.plan.model import Plan


class ExportThere(Struct, frozen=True, kw_only=True):
    """The latest export to a destination, if its files are there or will be.

    `request` is JSON of CreateExport, `script` the name of its script.
    """

    id: UUID
    is_published: bool
    dataset_id: UUID
    dataset: str
    snapshot: int
    request: bytes
    plan: Plan
    script_id: UUID | None
    script_version: int | None
    script: str | None


# Exports to destinations of a tenant take turns from here to their end: each sees those before.
LOCK_DESTINATIONS = """
SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 10))
"""


async def lock_destinations(conn: Connection, tenant: UUID) -> None:
    """Keep other exports to destinations from being accepted until the transaction ends."""
    await conn.execute(LOCK_DESTINATIONS, tenant)


# Each part has an index of its own. What is not published yet may never be.
SELECT_THERE = """
WITH there AS (
    (
        SELECT id
        FROM exports
        WHERE tenant_id = $1 AND destination = $2 AND finished_at IS NULL
        ORDER BY id DESC
        LIMIT 1
    )
    UNION ALL
    (
        SELECT id
        FROM exports
        WHERE tenant_id = $1 AND destination = $2 AND status = 'succeeded'
          AND files_deleted_at IS NULL
        ORDER BY id DESC
        LIMIT 1
    )
)
SELECT e.id, e.finished_at IS NOT NULL AS is_published, e.dataset_id, e.dataset, e.snapshot,
       e.request, e.plan, e.script_id, e.script_version, s.name AS script
FROM there
JOIN exports AS e ON e.tenant_id = $1 AND e.id = there.id
LEFT JOIN scripts AS s ON s.tenant_id = e.tenant_id AND s.id = e.script_id
ORDER BY e.id DESC
"""


async def select_there(conn: Connection, tenant: UUID, destination: str) -> list[ExportThere]:
    """Return the latest export there that has not ended, and the latest that is there."""
    rows = await conn.fetch(SELECT_THERE, tenant, destination)
    return [
        ExportThere(**{**row, "plan": msgspec.json.decode(row["plan"], type=Plan)}) for row in rows
    ]


class NearbyExport(Struct, frozen=True, kw_only=True):
    """An export to a folder above or below another destination."""

    id: UUID
    destination: str
    dataset: str
    snapshot: int


# $2: folders above $3.
SELECT_NEARBY = """
SELECT e.id, e.destination, e.dataset, e.snapshot
FROM exports AS e
WHERE e.tenant_id = $1 AND e.destination IS NOT NULL
  AND (e.finished_at IS NULL OR (e.status = 'succeeded' AND e.files_deleted_at IS NULL))
  AND (e.destination = ANY ($2::text[]) OR starts_with(e.destination, $3 || '/'))
ORDER BY e.id DESC
LIMIT 1
"""


async def find_nearby(
    conn: Connection, tenant: UUID, destination: str, *, above: Sequence[str]
) -> NearbyExport | None:
    """Return an export whose files are, or will be, in folders above or below a destination."""
    row = await conn.fetchrow(SELECT_NEARBY, tenant, list(above), destination)
    return optional_from_row(NearbyExport, row)
