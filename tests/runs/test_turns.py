"""A run takes its turns beside executions, and makes none of them wait."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.db import Pool
from app.executions.model import Status
from app.limits import LimitChoice
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
        async with asyncio.timeout(30):
            while (await runs.row(run))["status"] != "running":  # noqa: ASYNC110
                await asyncio.sleep(0.02)
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
