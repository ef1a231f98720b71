"""A run takes its turns beside executions, and makes none of them wait."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from app.db import Pool
from app.executions.dispatch import wake_ups
from app.executions.model import Status
from app.limits import LimitChoice
from app.metrics import REGISTRY
from app.sandbox.parts import Task
from app.settings import Settings
from tests.runs.systems import RunsSystem, open_runs
from tests.support.queues import Queues

ENDLESS = "function map() { for (;;); }"


@pytest.fixture
async def runs(pool: Pool, settings: Settings) -> AsyncIterator[RunsSystem]:
    assert pool is not None
    async with open_runs(settings, cells=1) as system:
        yield system


async def test_executions_do_not_wait_for_parts_that_hold_all_slots(
    runs: RunsSystem, pool: Pool
) -> None:
    await runs.dataset("in", {f"{n}": [b"1\n"] for n in range(3)})
    await runs.dataset("out", {})
    script = await runs.script(ENDLESS)
    limits = LimitChoice(wall_ms=60_000)
    run = await runs.start(script, "in", Task.MAP, output="out", limits=limits)
    queues = Queues(pool)
    tenant = await queues.tenant(source=b"function process() { return 1; }")
    async with runs.worker(slots=1) as worker:
        await until_running(runs, run)
        ids = await queues.accept(tenant, 3)
        worker.wake()
        async with asyncio.timeout(30):
            for each in ids:
                while await queues.status(each) is not Status.SUCCEEDED:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        # What is held ahead of its turn has not begun.
        begun = await pool.fetchval(
            "SELECT count(*) FROM executions WHERE run_id = $1 AND status = 'running' AND NOT held",
            run,
        )
        assert begun == 1
        await pool.execute(
            "UPDATE executions SET status = 'cancelled', finished_at = now(), "
            "lease_token = -lease_token, lease_expires_at = NULL "
            "WHERE run_id = $1 AND status = 'running'",
            run,
        )
        row = await runs.ended(run)
    assert (row["status"], b"part_cancelled" in row["error"]) == ("failed", True)


async def test_a_full_worker_leaves_a_wake_up_to_others_for_a_moment(
    runs: RunsSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake_ups, "_LEAVE_SECONDS", 1.0)
    monkeypatch.setattr(wake_ups, "_PASS_ON_SECONDS", 60.0)
    await runs.dataset("in", {f"{n}": [b"1\n"] for n in range(3)})
    await runs.dataset("out", {})
    run = await runs.start(await runs.script(ENDLESS), "in", Task.MAP, output="out")
    async with runs.worker(slots=1) as worker:
        await until_running(runs, run)
        # Its spare slot would take an execution, but only another worker can take a part.
        assert await worker.has_idle_slots(within_seconds=30)
        before = asked()
        worker.wake_alone()
        async with asyncio.timeout(30):
            while asked() == before:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not await worker.has_idle_slots(within_seconds=0)
        assert await worker.has_idle_slots(within_seconds=30)
        # It takes its own one, and ends it.
        worker.wake_alone()
        assert await worker.has_idle_slots(within_seconds=30)
        await asyncio.sleep(0.1)
        assert asked() == before + 1
        await runs.cancel(run)


def asked() -> float:
    return REGISTRY.get_sample_value("crivo_rings_wanted_total") or 0


async def until_running(runs: RunsSystem, run: UUID) -> None:
    async with asyncio.timeout(30):
        while (await runs.row(run))["status"] != "running":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
