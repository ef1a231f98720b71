"""What a worker does with a claim: its way through the sandbox, and what is recorded of it."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from app.db import Pool
from app.executions.model import Claim
from app.executions.payloads import PayloadWriter
from app.executions.runs import record
from app.metrics import REGISTRY
from app.resources import Resources, open_resources
from app.settings import MIB, Settings
from tests.executions.queues import SUCCESS, Queues


@pytest.fixture
def queues(pool: Pool) -> Queues:
    return Queues(pool)


@pytest.fixture
async def resources(settings: Settings) -> AsyncIterator[Resources]:
    async with open_resources(settings, cells=1) as resources:
        yield resources


async def _claimed(queues: Queues, *, lease_seconds: float = 60) -> Claim:
    await queues.accept(await queues.tenant())
    [held] = await queues.claim(1, lease_seconds=lease_seconds)
    return held


def _late_reports() -> float:
    return REGISTRY.get_sample_value("crivo_late_reports_refused_total") or 0


async def test_a_report_in_time_is_not_counted_as_late(
    queues: Queues, resources: Resources
) -> None:
    before = _late_reports()

    await record(resources, await _claimed(queues), SUCCESS)

    assert _late_reports() == before


@pytest.mark.parametrize("why", ["swept", "cancelled"])
async def test_a_late_report_is_counted_and_leaves_no_result(
    queues: Queues, resources: Resources, why: str
) -> None:
    before = _late_reports()
    held = await _claimed(queues, lease_seconds=0)
    if why == "swept":
        await queues.sweep()
    else:
        await queues.cancel(held.tenant_id, held.id)
    key = f"{held.tenant_id}/results/{held.id}-{held.lease_token}"
    writer = PayloadWriter(resources.blobs, key)
    async with writer:
        await writer.write(b"1" * (2 * MIB))
    assert await _blobs(resources) == [key]

    await record(resources, held, msgspec.structs.replace(SUCCESS, result=writer.stored()))

    assert _late_reports() == before + 1
    assert await _blobs(resources) == []


async def _blobs(resources: Resources) -> list[str]:
    return [each.key async for page in resources.blobs.pages(size=10) for each in page]
