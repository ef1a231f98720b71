"""Run re-drives in the worker: batch by batch, each under a lease, at the rate that was asked for.

Nothing about a re-drive is in memory between two batches: if its worker dies, another goes on once
the lease has expired. Batches of several re-drives take turns.
"""

import asyncio
from functools import partial
from typing import Final, assert_never
from uuid import UUID

import structlog

from app.background import retry_forever
from app.datasets.parts import ObjectCache
from app.leases import leased
from app.limits import MIB
from app.metrics import REDRIVEN, REDRIVES
from app.outages import DatabaseUnavailable, Unavailable
from app.redrives import execution_batches, lease_store, letter_batches, run_batches
from app.redrives.deadlines import BATCH_SECONDS, deadline
from app.redrives.lease_store import LeaseLost
from app.redrives.model import ClaimedRedrive, RedriveKind, RedriveStatus, Tally
from app.redrives.trouble import CannotGoOn, MarksChanged, MustWait
from app.resources import Resources
from app.sandbox.zygote_client import SandboxUnavailable

log = structlog.get_logger(__name__)

# One that waits for a slow sink holds up one other at most, and for the time of a batch.
_AT_ONCE: Final = 2
_POLL_SECONDS: Final = 1.0
_FOLLOW_SECONDS: Final = 0.5
_OUTAGE_SECONDS: Final = 5.0
_FAULT_SECONDS: Final = 60.0
_EXPIRY_SECONDS: Final = 600.0
_DELETED_AT_ONCE: Final = 100
_CACHE_BYTES: Final = 32 * MIB


async def run_redrives(resources: Resources, worker_id: UUID) -> None:
    """Run the re-drives that are due, until cancelled."""
    cache = ObjectCache(resources.blobs, max_bytes=_CACHE_BYTES)

    async def run_due() -> None:
        while await run_next(resources, cache, worker_id):
            pass

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_AT_ONCE):
            tasks.create_task(
                retry_forever("redrives.failed", run_due, pause_seconds=_POLL_SECONDS)
            )


async def run_expiry(resources: Resources) -> None:
    """Delete re-drives as old as receipts may get, until cancelled."""
    days = resources.settings.keep_receipts_days

    async def expire() -> None:
        deleted = _DELETED_AT_ONCE if days else 0
        while deleted == _DELETED_AT_ONCE:
            async with resources.pool.acquire() as conn:
                deleted = await lease_store.delete_redrives(conn, days, _DELETED_AT_ONCE)

    await retry_forever("redrives.expiry_failed", expire, pause_seconds=_EXPIRY_SECONDS)


async def run_next(resources: Resources, cache: ObjectCache, worker_id: UUID) -> bool:
    """Try the next batch of the re-drive that is due first; return whether there was one.

    Raises DatabaseUnavailable.
    """
    lease_seconds = resources.settings.lease_seconds
    began = asyncio.get_running_loop().time()
    async with resources.pool.acquire() as conn:
        claimed = await lease_store.claim_redrive(conn, worker_id, lease_seconds=lease_seconds)
    if claimed is None:
        return False
    try:
        async with leased(
            partial(_renew, resources, claimed),
            lease_seconds=lease_seconds,
            until=began + lease_seconds,
            lost=LeaseLost("it is another worker's, or was not renewed in time"),
            name=f"re-drive {claimed.id}",
        ):
            await _try(resources, cache, claimed, began=began)
    except LeaseLost as lost:
        # This worker or another one goes on.
        log.warning("redrive.lease_lost", id=str(claimed.id), reason=str(lost))
    return True


async def _try(
    resources: Resources, cache: ObjectCache, claimed: ClaimedRedrive, *, began: float
) -> None:
    """Try one batch, and give the lease back. Raises LeaseLost, DatabaseUnavailable."""
    try:
        async with deadline("the batch has not ended", seconds=BATCH_SECONDS):
            await _advance(resources, cache, claimed, began=began)
    except (LeaseLost, DatabaseUnavailable):
        raise
    except CannotGoOn as error:
        await _end(resources, claimed, RedriveStatus.FAILED, trouble=str(error))
    except MarksChanged as error:
        log.info("redrive.marks_changed", id=str(claimed.id), reason=str(error))
        await _release(resources, claimed, 0.0)
    except MustWait as error:
        await _release(resources, claimed, error.seconds, trouble=str(error))
    except (Unavailable, SandboxUnavailable, OSError, MemoryError) as error:
        log.warning("redrive.interrupted", id=str(claimed.id), reason=str(error))
        trouble = "the service has trouble, and tries again"
        if isinstance(error, Unavailable):
            trouble = error.detail
        await _release(resources, claimed, _OUTAGE_SECONDS, trouble=trouble)
    except Exception:
        log.exception("redrive.batch_failed", id=str(claimed.id))
        trouble = "the last batch has failed for a reason that is in the service's log"
        await _release(resources, claimed, _FAULT_SECONDS, trouble=trouble)


async def _advance(
    resources: Resources, cache: ObjectCache, claimed: ClaimedRedrive, *, began: float
) -> None:
    """Try one batch, and say when the next is due; or end the re-drive."""
    tally: Tally | None
    match claimed.kind:
        case RedriveKind.PIPE:
            tally = await letter_batches.try_batch(resources, claimed)
        case RedriveKind.RUN:
            tally = await run_batches.try_batch(resources, cache, claimed)
        case RedriveKind.EXECUTION:
            ended = await execution_batches.follow(resources, claimed)
            if ended is None:
                await _release(resources, claimed, _FOLLOW_SECONDS)
            else:
                await _end(resources, claimed, ended)
            return
        case _:
            assert_never(claimed.kind)
    if tally is None:
        await _end(resources, claimed, RedriveStatus.FINISHED)
        return
    for outcome in ("moved", "dropped", "failed_again", "left_out"):
        REDRIVEN.labels(claimed.kind, outcome).inc(getattr(tally, outcome))
    rest = 0.0
    if claimed.per_second is not None:
        spent = asyncio.get_running_loop().time() - began
        rest = max(0.0, tally.tried / claimed.per_second - spent)
    await _release(resources, claimed, rest)


async def _renew(resources: Resources, claimed: ClaimedRedrive) -> bool:
    async with resources.pool.acquire() as conn:
        return await lease_store.renew(
            conn, claimed, lease_seconds=resources.settings.lease_seconds
        )


async def _release(
    resources: Resources, claimed: ClaimedRedrive, seconds: float, *, trouble: str | None = None
) -> None:
    async with resources.pool.acquire() as conn:
        await lease_store.release(conn, claimed, after_seconds=seconds, trouble=trouble)


async def _end(
    resources: Resources,
    claimed: ClaimedRedrive,
    status: RedriveStatus,
    *,
    trouble: str | None = None,
) -> None:
    async with resources.pool.acquire() as conn:
        ended = await lease_store.end(conn, claimed, status, trouble=trouble)
    if ended == status:
        REDRIVES.labels(claimed.kind, status).inc()
        log.info("redrive.ended", id=str(claimed.id), status=status, trouble=trouble)
        resources.publisher.ended(claimed.id)
