"""What a worker does with a claim: its way through the sandbox, and what is recorded of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import psutil
import pytest

from app.db import Pool
from app.execution_errors import ErrorKind
from app.executions.dispatch.executor import ResourceUsage, record, run
from app.executions.model import Claim
from app.limits import MIB
from app.metrics import REGISTRY
from app.payloads.writer import PayloadWriter
from app.resources import Resources, open_resources
from app.sandbox.outcomes import Job, Report
from app.settings import Settings
from tests.executions.queues import SUCCESS, Queues
from tests.sandbox.processes import busy_cells, until

ENDLESS: Final = b"function process(_) { for (;;); }"


@pytest.fixture
def queues(pool: Pool) -> Queues:
    return Queues(pool)


@pytest.fixture
async def resources(settings: Settings) -> AsyncIterator[Resources]:
    async with open_resources(settings, cells=1) as resources:
        yield resources


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


async def test_two_cells_that_died_are_counted_together(
    queues: Queues, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[Report] = []
    run_one = resources.sandbox.run

    async def told(job: Job, **choices: Any) -> Report:  # noqa: ANN401 - passed on as they came
        reports.append(await run_one(job, **choices))
        return reports[-1]

    monkeypatch.setattr(resources.sandbox, "run", told)
    running = asyncio.create_task(run(resources, await _endless(queues), ResourceUsage()))
    first = await _busy_cell()
    first.kill()
    (await _busy_cell(after=first)).kill()

    finish = await running

    assert finish.error_kind is ErrorKind.SANDBOX_CRASH
    one, other = (report.usage for report in reports)
    assert min(one.cpu_ms, other.cpu_ms) > 0
    assert finish.cpu_ms == pytest.approx(one.cpu_ms + other.cpu_ms)
    assert finish.peak_memory_bytes == max(one.peak_memory_bytes, other.peak_memory_bytes)
    assert finish.run_ms == other.run_ms


async def test_what_is_cancelled_tells_what_its_cells_took(
    queues: Queues, resources: Resources
) -> None:
    spent = ResourceUsage()
    running = asyncio.create_task(run(resources, await _endless(queues), spent))
    first = await _busy_cell()
    first.kill()
    await _busy_cell(after=first)
    of_first_ms = spent.cpu_ms

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert 0 < of_first_ms < spent.cpu_ms
    assert spent.peak_memory_bytes > MIB


async def _claimed(queues: Queues, *, lease_seconds: float = 60) -> Claim:
    await queues.accept(await queues.tenant())
    [held] = await queues.claim(1, lease_seconds=lease_seconds)
    return held


async def _endless(queues: Queues) -> Claim:
    held = await _claimed(queues)
    limits = msgspec.structs.replace(held.limits, wall_ms=300_000, max_cpu_ms=300_000)
    return msgspec.structs.replace(held, source=ENDLESS, limits=limits)


async def _busy_cell(*, after: psutil.Process | None = None) -> psutil.Process:
    """Wait for a cell that runs user code, another one than that which was killed."""
    found: list[psutil.Process] = []

    def look() -> bool:
        found[:] = [cell for cell in busy_cells() if cell != after]
        return bool(found)

    await until(look)
    return found[0]
