"""Running a claim yields an outcome, and the usage of every cell that it took."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import psutil
import pytest

from app.db import Pool
from app.execution_errors import ErrorKind
from app.executions.dispatch.executor import run
from app.executions.dispatch.running_claims import ResourceUsage
from app.executions.model import Claim
from app.limits import MIB
from app.resources import Resources, open_resources
from app.sandbox.outcomes import Job, Report
from app.settings import Settings
from tests.support.processes import busy_cells, until
from tests.support.queues import Queues

ENDLESS: Final = b"function process(_) { for (;;); }"


@pytest.fixture
def queues(pool: Pool) -> Queues:
    return Queues(pool)


@pytest.fixture
async def resources(settings: Settings) -> AsyncIterator[Resources]:
    async with open_resources(settings, cells=1) as resources:
        yield resources


async def test_the_usage_of_two_dead_cells_is_added_up(
    queues: Queues, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[Report] = []
    run_in_sandbox = resources.sandbox.run

    async def record_report(job: Job, **options: Any) -> Report:  # noqa: ANN401 - passed on as they came
        reports.append(await run_in_sandbox(job, **options))
        return reports[-1]

    monkeypatch.setattr(resources.sandbox, "run", record_report)
    running = asyncio.create_task(run(resources, await _claim_endless(queues), ResourceUsage()))
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


async def test_a_cancelled_run_reports_the_usage_of_its_cells(
    queues: Queues, resources: Resources
) -> None:
    usage = ResourceUsage()
    running = asyncio.create_task(run(resources, await _claim_endless(queues), usage))
    first = await _busy_cell()
    first.kill()
    await _busy_cell(after=first)
    first_cpu_ms = usage.cpu_ms

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert 0 < first_cpu_ms < usage.cpu_ms
    assert usage.peak_memory_bytes > MIB


async def _claim_endless(queues: Queues) -> Claim:
    await queues.accept(await queues.tenant())
    [claim] = await queues.claim(1)
    limits = msgspec.structs.replace(claim.limits, wall_ms=300_000, max_cpu_ms=300_000)
    return msgspec.structs.replace(claim, source=ENDLESS, limits=limits)


async def _busy_cell(*, after: psutil.Process | None = None) -> psutil.Process:
    """Wait for a cell that runs user code, other than the one that was killed."""
    found: list[psutil.Process] = []

    def found_another() -> bool:
        found[:] = [cell for cell in busy_cells() if cell != after]
        return bool(found)

    await until(found_another)
    return found[0]
