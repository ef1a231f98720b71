"""A dispatcher answers wake-ups, on a real database and a real sandbox."""

import asyncio
from typing import Final
from uuid import UUID

from app.db import Pool
from app.executions.dispatch.dispatcher import Dispatcher
from app.executions.model import Status
from app.metrics import REGISTRY
from app.resources import open_resources
from app.settings import Settings
from tests.executions.dispatch.workers import open_dispatcher
from tests.support.queues import Queues

ENDLESS: Final = b"function process(_) { for (;;); }"


async def test_a_wake_up_that_fills_the_worker_is_passed_on(pool: Pool, settings: Settings) -> None:
    queues = Queues(pool)
    tenant = await queues.tenant(source=ENDLESS)
    async with (
        open_resources(settings, cells=1) as resources,
        open_dispatcher(resources) as dispatcher,
    ):
        assert await dispatcher.has_idle_slots(within_seconds=30)
        before = _wake_ups_requested()
        [first] = await queues.accept(tenant)
        dispatcher.wake_alone()
        await _until_status(queues, first, Status.RUNNING)

        # A full worker asks for no wake-up, and has passed this one on to the others. The claim is
        # seen here before it is there.
        await _until_full(dispatcher)
        assert _wake_ups_requested() == before + 1

        # One that the worker asked for before it was full.
        dispatcher.wake_alone()
        await _until_wake_ups(before + 2)

        # An execution that a freed slot finds by polling implies nothing about other workers.
        [second] = await queues.accept(tenant)
        await _until_status(queues, second, Status.FAILED)
        assert await dispatcher.has_idle_slots(within_seconds=30)
        assert _wake_ups_requested() == before + 2


async def _until_status(queues: Queues, execution: UUID, status: Status) -> None:
    async with asyncio.timeout(30):
        while await queues.status(execution) is not status:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)


async def _until_full(dispatcher: Dispatcher) -> None:
    async with asyncio.timeout(30):
        while await dispatcher.has_idle_slots(within_seconds=0):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)


async def _until_wake_ups(count: float) -> None:
    async with asyncio.timeout(30):
        while _wake_ups_requested() != count:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)


def _wake_ups_requested() -> float:
    return REGISTRY.get_sample_value("crivo_rings_wanted_total") or 0
