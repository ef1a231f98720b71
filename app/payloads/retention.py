"""Run periodic maintenance: expire payloads and delete orphaned blobs.

A blob is written before the row that references it is committed, and deleted after the commit
that removes the reference. A crash in between leaves a blob without a row, never a row without
its blob. Such orphans are deleted once they are older than any pending reference can be.
"""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog

from app.background import retry_forever
from app.blobs import Blobs
from app.db import Pool
from app.payloads import store
from app.payloads.model import Expiry, MaintenanceTask, PayloadOwner
from app.settings import Settings

log = structlog.get_logger(__name__)

_INTERVAL_SECONDS: Final = 60.0
# A transaction that expires this many executions takes a few tens of ms.
_BATCH_ITEMS: Final = 200
_ORPHANS_INTERVAL_SECONDS: Final = 6 * 3_600.0
_ORPHANS_PAGE_KEYS: Final = 1_000
# Longer than a result can wait to be recorded: the longest lease is an hour.
ORPHAN_AGE: Final = timedelta(hours=2)

# The only keys that are deleted as orphans: `BLOB_URL` may contain files of other programs.
_UUID: Final = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_BLOB_KEY: Final = re.compile(rf"{_UUID}/(?P<folder>[a-z]+)/{_UUID}(-[0-9]+)?")
_INSTALLATION_KEY: Final = "installation"


async def run_maintenance(
    pool: Pool, blobs: Blobs, settings: Settings, owners: Sequence[PayloadOwner]
) -> None:
    """Perform the tasks that are due once a minute, until cancelled."""

    async def expire_and_delete_orphans() -> None:
        await expire(pool, blobs, settings, owners)
        await delete_orphans_if_due(pool, blobs, owners)

    await retry_forever(
        "retention.failed", expire_and_delete_orphans, pause_seconds=_INTERVAL_SECONDS
    )


async def expire(
    pool: Pool, blobs: Blobs, settings: Settings, owners: Sequence[PayloadOwner]
) -> None:
    """Expire everything that is due, in short transactions."""
    for owner in owners:
        for expiry in owner.expiries:
            if days := expiry.days(settings):
                while await _expire_batch(pool, blobs, owner, expiry, days):
                    pass


async def delete_orphans_if_due(pool: Pool, blobs: Blobs, owners: Sequence[PayloadOwner]) -> None:
    """Delete orphaned blobs unless a worker has done so in the last six hours."""
    async with pool.acquire() as conn:
        due = await store.claim_task(
            conn, MaintenanceTask.BLOBS, interval_seconds=_ORPHANS_INTERVAL_SECONDS
        )
    if due:
        await delete_orphans(pool, blobs, owners, min_age=ORPHAN_AGE)


async def delete_orphans(
    pool: Pool, blobs: Blobs, owners: Sequence[PayloadOwner], *, min_age: timedelta
) -> int:
    """Delete the owners' blobs that no row references; return their number.

    Blobs younger than `min_age` are kept. Pages bound memory and the size of each statement. A
    store that is marked as another installation's is refused: the rows are in its database.
    """
    async with pool.acquire() as conn:
        before = await store.select_now(conn) - min_age
        installation = str(await store.installation_id(conn)).encode()
    if await blobs.create(_INSTALLATION_KEY, installation) != installation:
        log.error("retention.foreign_store", reason="BLOB_URL is another installation's")
        return 0
    deleted = 0
    async for page in blobs.pages(size=_ORPHANS_PAGE_KEYS):
        old_keys = [blob.key for blob in page if blob.modified_at < before]
        for owner in owners:
            keys = [key for key in old_keys if _folder_of(key) in owner.folders]
            deleted += await delete_unreferenced(pool, blobs, owner, keys)
    deleted += await blobs.delete_unfinished(before=before)
    if deleted:
        log.info("retention.orphans_deleted", blobs=deleted)
    return deleted


async def delete_unreferenced(
    pool: Pool, blobs: Blobs, owner: PayloadOwner, keys: Sequence[str]
) -> int:
    """Delete those of an owner's blobs that none of its rows references; return their number."""
    if not keys:
        return 0
    async with pool.acquire() as conn:
        referenced = await owner.select_referenced_keys(conn, keys)
    unreferenced = [key for key in keys if key not in referenced]
    await blobs.delete(*unreferenced)
    return len(unreferenced)


async def _expire_batch(
    pool: Pool, blobs: Blobs, owner: PayloadOwner, expiry: Expiry, days: int
) -> bool:
    """Expire one batch, then delete its blobs; return whether more may be due."""
    async with pool.acquire() as conn:
        batch = await expiry.expire_batch(conn, days, _BATCH_ITEMS)
    await delete_unreferenced(pool, blobs, owner, batch.blob_keys)
    if batch.items:
        counts = {owner.name: batch.items, "rows": batch.rows, "blobs": len(batch.blob_keys)}
        log.info(expiry.event, **counts)
    # Of what has very many rows each, a batch takes fewer.
    return batch.items > 0


def _folder_of(key: str) -> str | None:
    match = _BLOB_KEY.fullmatch(key)
    return None if match is None else match["folder"]
