"""The dispatcher's own duties, in this process, on a real database and a real sandbox."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import msgspec

from app.db import Pool
from app.executions.dispatch.dispatcher import Dispatcher
from app.executions.model import Status
from app.metrics import REGISTRY
from app.resources import Resources, open_resources
from app.settings import Settings
from tests.executions.queues import Queues

ENDLESS: Final = b"function process(_) { for (;;); }"
BECAME: Final = (Status.QUEUED, Status.FAILED)


async def test_expired_leases_are_counted_by_what_became_of_the_execution(
    pool: Pool, settings: Settings
) -> None:
    queues = Queues(pool)
    ids = await queues.accept(await queues.tenant(), 3)
    # As if their workers had died, of one for the second time.
    await queues.claim(1, lease_seconds=0)
    await queues.sweep()
    await queues.claim(3, lease_seconds=0)
    before = _expired()

    choices = msgspec.structs.replace(settings, lease_seconds=1, max_attempts=2)
    async with open_resources(choices, cells=1) as resources, _working(resources):
        async with asyncio.timeout(30):
            while not all([(await queues.status(each)).final for each in ids]):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)

    news = {status: count - before[status] for status, count in _expired().items()}
    assert news == {Status.QUEUED: 2, Status.FAILED: 1}


async def test_a_knock_that_fills_the_worker_is_passed_on(pool: Pool, settings: Settings) -> None:
    queues = Queues(pool)
    tenant = await queues.tenant(source=ENDLESS)
    async with open_resources(settings, cells=1) as resources, _working(resources) as dispatcher:
        assert await dispatcher.has_room(within_seconds=30)
        wanted = _rings_wanted()
        [first] = await queues.accept(tenant)
        dispatcher.pass_on_or_wake()
        await _until(queues, first, Status.RUNNING)

        # Neither does a worker that is full ask for knocks, nor does it keep one from the others.
        assert not await dispatcher.has_room(within_seconds=0)
        assert _rings_wanted() == wanted + 1

        # One that it had asked for before it was.
        dispatcher.pass_on_or_wake()
        await _until_rings(wanted + 2)

        # What it finds by itself, as a slot is free again, says nothing of the others.
        [second] = await queues.accept(tenant)
        await _until(queues, second, Status.FAILED)
        assert await dispatcher.has_room(within_seconds=30)
        assert _rings_wanted() == wanted + 2


async def _until(queues: Queues, execution: UUID, status: Status) -> None:
    async with asyncio.timeout(30):
        while await queues.status(execution) is not status:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)


async def _until_rings(count: float) -> None:
    async with asyncio.timeout(30):
        while _rings_wanted() != count:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)


def _rings_wanted() -> float:
    return REGISTRY.get_sample_value("crivo_rings_wanted_total") or 0


@asynccontextmanager
async def _working(resources: Resources) -> AsyncIterator[Dispatcher]:
    dispatcher = Dispatcher(resources, slots=1)
    working = asyncio.create_task(dispatcher.run_until_stopped())
    try:
        yield dispatcher
    finally:
        dispatcher.stop()
        await working


def _expired() -> dict[Status, float]:
    return {
        status: REGISTRY.get_sample_value("crivo_leases_expired_total", {"status": status}) or 0
        for status in BECAME
    }
