"""Engines run the parts of runs alike; what they lose runs again, and the bytes are the same."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
import uuid_utils.compat as uuid

from app.background import background
from app.datasets.parts import Format as DatasetFormat
from app.db import Pool
from app.executions import cancellations
from app.executions.dispatch import claims, engine_slots
from app.executions.dispatch.dispatcher import Dispatcher
from app.executions.dispatch.engine_slots import PartLost
from app.executions.dispatch.running_claims import ResourceUsage
from app.executions.model import Claim, Status
from app.runs.advance import advance, run_advance
from app.runs.engines.dask import DaskEngine, open_dask_engine
from app.runs.engines.engine import Engine, run_on
from app.runs.engines.local import LocalEngine
from app.runs.engines.requirements import Requirements
from app.runs.parts import EngineParts, LocalParts
from app.sandbox.parts import Task
from app.settings import Settings
from app.workers import store as workers
from tests.runs.dask_cluster import DaskCluster, dask_cluster
from tests.runs.systems import RunsSystem, open_runs

# Some tenths of a second for each part, so that a kill meets one; clocks of scripts stand still.
SLOW: Final = """
function map(r) {
  let sum = 0;
  for (let i = 0; i < 2e7; i++) sum = (sum + i) % 1000003;
  return { n: r.n, at: Math.random(), sum, pad: "x".repeat(200) };
}
"""


@pytest.fixture
async def runs(pool: Pool, settings: Settings) -> AsyncIterator[RunsSystem]:
    assert pool is not None
    async with open_runs(settings) as system:
        yield system


def records(first: int, last: int) -> bytes:
    return b"".join(b'{"n":%d}\n' % n for n in range(first, last))


async def until(condition: Callable[[], object], wanted: str) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the condition is in another process
            await asyncio.sleep(0.02)
    assert condition(), wanted


@asynccontextmanager
async def dask_engine(
    runs: RunsSystem, cluster: DaskCluster, worker: UUID, *, without_seccomp: bool = False
) -> AsyncIterator[DaskEngine]:
    sandbox = runs.resources.sandbox
    requirements = Requirements(v8_version=sandbox.v8_version, without_seccomp=without_seccomp)
    async with open_dask_engine(
        f"dask://{cluster.address}", worker=worker, requirements=requirements
    ) as engine:
        yield engine


@asynccontextmanager
async def engine_worker(runs: RunsSystem, cluster: DaskCluster) -> AsyncIterator[DaskEngine]:
    """A worker of one slot, and the engine beside it."""
    worker = uuid.uuid7()
    async with dask_engine(runs, cluster, worker) as engine:
        parts = EngineParts(runs.resources, engine)
        dispatcher = Dispatcher(runs.resources, slots=1, parts=parts, worker_id=worker)
        async with background(run_advance(runs.resources)):
            running = asyncio.create_task(dispatcher.run_until_stopped())
            try:
                yield engine
            finally:
                dispatcher.stop()
                await running


async def run_map(runs: RunsSystem, *, files: int = 12) -> UUID:
    """Start a run of one part for each file, into a new dataset."""
    if not await runs.count("datasets"):
        await runs.dataset("in", {f"{n}": [records(n * 10, n * 10 + 10)] for n in range(files)})
        await runs.dataset("out", {})
    return await runs.start(
        await runs.script(SLOW), "in", Task.MAP, output="out", clock_ms=1_700_000_000_000
    )


async def elsewhere(runs: RunsSystem, status: str) -> int:
    """Count the parts that an engine's worker has, or had."""
    found: int = await runs.resources.pool.fetchval(
        "SELECT count(*) FROM executions AS e WHERE run_id IS NOT NULL AND status = $1 "
        "AND NOT EXISTS (SELECT FROM workers AS w WHERE w.id = e.worker_id)",
        status,
    )
    return found


async def test_smoke(runs: RunsSystem, settings: Settings, tmp_path: Path) -> None:
    with dask_cluster(settings, tmp_path / "dask", workers=2) as cluster:
        async with engine_worker(runs, cluster) as engine:
            await until(lambda: engine.capacity == 2, "both workers are admitted")
            run = await run_map(runs)
            row = await runs.ended(run)
            assert row["status"] == "succeeded", row["error"]
            print(await elsewhere(runs, "succeeded"))
            assert 0
