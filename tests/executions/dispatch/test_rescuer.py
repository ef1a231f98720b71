"""Executions whose worker died are queued again, or fail once their attempts are used up."""

import asyncio
from typing import Final

import msgspec
from msgspec.structs import replace

from app.db import Pool
from app.executions.dispatch import slot_offers
from app.executions.dispatch.rescuer import Rescuer
from app.executions.dispatch.running_claims import RunningClaims
from app.executions.model import Status
from app.metrics import REGISTRY
from app.resources import open_resources
from app.settings import Settings
from tests.executions.dispatch.workers import open_dispatcher
from tests.support.queues import Queues

RESCUED_AS: Final = (Status.QUEUED, Status.FAILED)


async def test_expired_leases_are_counted_by_the_status_that_follows(
    pool: Pool, settings: Settings
) -> None:
    queues = Queues(pool)
    ids = await queues.accept(await queues.tenant(), 3)
    # As if their workers had died, for one execution twice.
    await queues.claim(1, lease_seconds=0)
    await queues.rescue()
    await queues.claim(3, lease_seconds=0)
    before = _expired()

    two_attempts = msgspec.structs.replace(settings, lease_seconds=1, max_attempts=2)
    async with open_resources(two_attempts, cells=1) as resources, open_dispatcher(resources):
        async with asyncio.timeout(30):
            while not all([(await queues.status(each)).final for each in ids]):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)

    added = {status: count - before[status] for status, count in _expired().items()}
    assert added == {Status.QUEUED: 2, Status.FAILED: 1}


async def test_a_lost_hand_over_is_rescued_without_a_pause_and_charged_to_nobody(
    pool: Pool, settings: Settings
) -> None:
    queues = Queues(pool)
    tenant = await queues.tenant()
    async with pool.acquire() as conn:
        # Of a worker that is gone.
        await slot_offers.offer(conn, queues.worker, slots=1, room=None)
    [execution] = await queues.accept(tenant, may_hand_over=True)
    assert await queues.status(execution) is Status.RUNNING
    running = RunningClaims(on_slot_free=lambda _seconds: None)

    # A rescuer that has just started leaves leases alone for half of that.
    async with open_resources(replace(settings, lease_seconds=3_600), cells=1) as resources:
        rescuer = Rescuer(resources, running=running, claim_now=(claim_now := asyncio.Event()))
        async with asyncio.timeout(30):
            while not claim_now.is_set():
                await rescuer.rescue_expired()
                await asyncio.sleep(0.01)

    assert await queues.status(execution) is Status.QUEUED
    assert not running.has_slot_usage


def _expired() -> dict[Status, float]:
    return {
        status: REGISTRY.get_sample_value("crivo_leases_expired_total", {"status": status}) or 0
        for status in RESCUED_AS
    }
