"""An outcome is recorded in time, or refused and cleaned up."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from app.db import Pool
from app.executions.dispatch.completion import record_outcome
from app.executions.model import Claim
from app.limits import MIB
from app.metrics import REGISTRY
from app.payloads.writer import PayloadWriter
from app.resources import Resources, open_resources
from app.settings import Settings
from tests.support.queues import SUCCESS, Queues


@pytest.fixture
def queues(pool: Pool) -> Queues:
    return Queues(pool)


@pytest.fixture
async def resources(settings: Settings) -> AsyncIterator[Resources]:
    async with open_resources(settings, cells=1) as resources:
        yield resources


async def test_a_report_in_time_is_not_counted_as_late(
    queues: Queues, resources: Resources
) -> None:
    before = _late_reports()

    await record_outcome(resources, await _claim(queues), SUCCESS)

    assert _late_reports() == before


@pytest.mark.parametrize("reason", ["rescued", "cancelled"])
async def test_a_late_report_is_counted_and_leaves_no_result(
    queues: Queues, resources: Resources, reason: str
) -> None:
    before = _late_reports()
    claim = await _claim(queues, lease_seconds=0)
    if reason == "rescued":
        await queues.rescue()
    else:
        await queues.cancel(claim.tenant_id, claim.id)
    key = f"{claim.tenant_id}/results/{claim.id}-{claim.lease_token}"
    writer = PayloadWriter(resources.blobs, key)
    async with writer:
        await writer.write(b"1" * (2 * MIB))
    assert await _blob_keys(resources) == [key]

    finish = msgspec.structs.replace(SUCCESS, result=writer.stored())
    await record_outcome(resources, claim, finish)

    assert _late_reports() == before + 1
    assert await _blob_keys(resources) == []


async def _claim(queues: Queues, *, lease_seconds: float = 60) -> Claim:
    await queues.accept(await queues.tenant())
    [claim] = await queues.claim(1, lease_seconds=lease_seconds)
    return claim


async def _blob_keys(resources: Resources) -> list[str]:
    return [each.key async for page in resources.blobs.pages(size=10) for each in page]


def _late_reports() -> float:
    return REGISTRY.get_sample_value("crivo_late_reports_refused_total") or 0
