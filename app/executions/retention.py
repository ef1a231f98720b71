"""Let payloads and receipts expire, and sweep blobs that no row names: a duty of every worker.

Rows and blobs go together in one order: a blob is written before the row that names it, and
removed after that row's commit. Whatever dies in between leaves a blob without a row, never a
row without its blob; the sweep finds such blobs once they are older than any statement can be.
"""

import re
from datetime import timedelta
from typing import Final

import structlog

from app.background import retry_forever
from app.blobs import Blobs
from app.db import Pool
from app.executions import erasure
from app.executions.erasure import MaintenanceTask, Step
from app.resources import Resources
from app.settings import Settings

log = structlog.get_logger(__name__)

_EVERY_SECONDS: Final = 60.0
# A transaction of so many executions takes some tens of ms.
_STEP_EXECUTIONS: Final = 200
_SWEEP_EVERY_SECONDS: Final = 6 * 3_600.0
_SWEEP_PAGE: Final = 1_000
# Longer than a result may wait to be recorded, which is the longest lease, an hour.
GRACE: Final = timedelta(hours=2)

# Nothing else is ever deleted by its name: `BLOB_URL` may hold what is not ours.
_OURS: Final = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/"
    r"(inputs|results)/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(-[0-9]+)?"
)
_MARK: Final = "installation"


async def keep_retention(resources: Resources) -> None:
    """Do what is due, again and again, until it is cancelled."""
    pool, blobs = resources.pool, resources.blobs

    async def expire_and_sweep() -> None:
        await expire(pool, blobs, resources.settings)
        await sweep_when_due(pool, blobs)

    await retry_forever("retention.failed", expire_and_sweep, pause_seconds=_EVERY_SECONDS)


async def expire(pool: Pool, blobs: Blobs, settings: Settings) -> None:
    """Erase every payload and delete every receipt that is due, in short steps."""
    if settings.keep_receipts_days:
        while await _step_of_receipts(pool, blobs, settings.keep_receipts_days):
            pass
    if settings.keep_payloads_days:
        while await _step_of_payloads(pool, blobs, settings.keep_payloads_days):
            pass


async def sweep_when_due(pool: Pool, blobs: Blobs) -> None:
    """Sweep the blob store unless a worker has done so in the last hours."""
    async with pool.acquire() as conn:
        due = await erasure.take_duty(
            conn, MaintenanceTask.BLOBS, again_after_seconds=_SWEEP_EVERY_SECONDS
        )
    if due:
        await sweep(pool, blobs, grace=GRACE)


async def sweep(pool: Pool, blobs: Blobs, *, grace: timedelta) -> int:
    """Remove blobs older than `grace` that no row names; give how many.

    Page by page, so memory and each statement are bounded however many there are. Refuses where
    the store is marked as another installation's, whose rows are elsewhere.
    """
    async with pool.acquire() as conn:
        before = await erasure.select_now(conn) - grace
        ours = str(await erasure.installation_id(conn)).encode()
    if await blobs.create(_MARK, ours) != ours:
        log.error("retention.foreign_store", reason="BLOB_URL is another installation's")
        return 0
    deleted = 0
    async for page in blobs.pages(size=_SWEEP_PAGE):
        old = [each.key for each in page if each.modified_at < before]
        deleted += await delete_unnamed(pool, blobs, [key for key in old if _OURS.fullmatch(key)])
    deleted += await blobs.delete_unfinished(before=before)
    if deleted:
        log.info("retention.orphans_deleted", blobs=deleted)
    return deleted


async def delete_unnamed(pool: Pool, blobs: Blobs, keys: list[str]) -> int:
    """Remove those of these blobs that no row names; give how many."""
    if not keys:
        return 0
    async with pool.acquire() as conn:
        named = await erasure.select_named_keys(conn, keys)
    unnamed = [key for key in keys if key not in named]
    await blobs.delete(*unnamed)
    return len(unnamed)


async def _step_of_payloads(pool: Pool, blobs: Blobs, days: int) -> bool:
    async with pool.acquire() as conn:
        step = await erasure.expire_payloads(conn, days=days, most=_STEP_EXECUTIONS)
    return await _done(pool, blobs, "retention.payloads_erased", step)


async def _step_of_receipts(pool: Pool, blobs: Blobs, days: int) -> bool:
    async with pool.acquire() as conn:
        step = await erasure.delete_executions(conn, days=days, most=_STEP_EXECUTIONS)
    return await _done(pool, blobs, "retention.receipts_deleted", step)


async def _done(pool: Pool, blobs: Blobs, event: str, step: Step) -> bool:
    """Remove a step's blobs, after its commit; say whether there may be more to do."""
    await delete_unnamed(pool, blobs, step.blob_keys)
    if step.executions:
        log.info(event, executions=step.executions, rows=step.rows, blobs=len(step.blob_keys))
    return step.executions == _STEP_EXECUTIONS
