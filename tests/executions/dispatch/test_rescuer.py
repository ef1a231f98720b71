"""Executions whose worker died are queued again, or fail once their attempts are used up."""

import asyncio
from typing import Final

import msgspec

from app.db import Pool
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


def _expired() -> dict[Status, float]:
    return {
        status: REGISTRY.get_sample_value("crivo_leases_expired_total", {"status": status}) or 0
        for status in RESCUED_AS
    }
