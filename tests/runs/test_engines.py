"""Engines run the parts of runs alike; what they lose runs again, and the bytes are the same."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
import uuid_utils.compat as uuid
from msgspec.structs import replace

from app.background import background
from app.db import Pool
from app.executions import cancellations
from app.executions.dispatch import part_claims
from app.executions.dispatch.dispatcher import Dispatcher
from app.executions.dispatch.engine_slots import PartLost
from app.executions.dispatch.running_claims import ResourceUsage
from app.executions.model import Claim, Status
from app.runs.advance import advance, run_advance
from app.runs.engines import assignment_store
from app.runs.engines.dask import DaskEngine, open_dask_engine
from app.runs.engines.engine import Engine, run_on
from app.runs.engines.local import LocalEngine
from app.runs.engines.messages import Assignment
from app.runs.engines.requirements import Requirements
from app.runs.parts import EngineParts
from app.sandbox.parts import Task
from app.schemas.pinned import SchemaKey
from app.scripts.version_schemas import NO_SCHEMAS, VersionSchemas
from app.settings import Settings
from app.workers import store as workers
from tests.runs.dask_cluster import DaskCluster, dask_cluster
from tests.runs.systems import RunsSystem, open_runs
from tests.support.kernel import SECCOMP
from tests.support.queues import Queues

FILES: Final = 10
# Some tenths of a second for each part, so that a kill meets one; clocks of scripts stand still.
SLOW: Final = """
function map(r) {
  let sum = 0;
  for (let i = 0; i < 1e7; i++) sum = (sum + i) % 1000003;
  return { n: r.n, at: Math.random(), sum, pad: "x".repeat(200) };
}
"""
THROWS: Final = "function map() { throw new Error('no'); }"
ENDLESS: Final = "function map() { for (;;); }"
WITHOUT_SECCOMP: Final = ("-m", "tests.security.without_call", SECCOMP)


@pytest.fixture
async def runs(pool: Pool, settings: Settings) -> AsyncIterator[RunsSystem]:
    assert pool is not None
    async with open_runs(settings) as system:
        yield system


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the condition is in another process
            await asyncio.sleep(0.02)


async def until_elsewhere(runs: RunsSystem, parts: int) -> None:
    """Wait until workers of an engine, which are not registered, run so many parts."""
    async with asyncio.timeout(60):
        while await runs.resources.pool.fetchval(SELECT_ELSEWHERE) < parts:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


SELECT_ELSEWHERE: Final = """
SELECT count(*) FROM executions AS e
WHERE status = 'running' AND run_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM workers AS w WHERE w.id = e.worker_id)
"""


INSERT_SCHEMA: Final = """
WITH schema AS (INSERT INTO schemas (id, tenant_id, name) VALUES ($1, $2, 'any') RETURNING *)
INSERT INTO schema_versions (schema_id, version, tenant_id, document, strict)
SELECT id, 1, tenant_id, 'true', false FROM schema
"""


async def register(runs: RunsSystem, worker: UUID) -> None:
    async with runs.resources.pool.acquire() as conn:
        await workers.record_heartbeat(
            conn,
            worker,
            host="h",
            pid=1,
            slots=1,
            v8_version="",
            lockdown={},
            max_memory_bytes=None,
        )


async def run_map(
    runs: RunsSystem, source: str = SLOW, schemas: VersionSchemas = NO_SCHEMAS
) -> UUID:
    """Start a run of one part for each file."""
    async with runs.resources.pool.acquire() as conn:
        exists = await conn.fetchval("SELECT true FROM datasets WHERE tenant_id = $1", runs.tenant)
    if not exists:
        files = {
            f"{n}": [b"".join(b'{"n":%d}\n' % i for i in range(n * 5, n * 5 + 5))]
            for n in range(FILES)
        }
        await runs.dataset("in", files)
        await runs.dataset("out", {})
    script = await runs.script(source, schemas)
    return await runs.start(script, "in", Task.MAP, output="out", clock_ms=1_700_000_000_000)


async def claimed_parts(
    runs: RunsSystem, worker: UUID, run: UUID | None, *, limit: int = 64
) -> list[Claim]:
    if run is not None:
        await advance(runs.resources, run)
    async with runs.resources.pool.acquire() as conn:
        return await part_claims.claim_parts(conn, worker, limit=limit, lease_seconds=60)


@asynccontextmanager
async def dask_engine(
    runs: RunsSystem, cluster: DaskCluster, worker: UUID
) -> AsyncIterator[DaskEngine]:
    requirements = Requirements(v8_version=runs.resources.sandbox.v8_version, without_seccomp=False)
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


async def undisturbed(runs: RunsSystem) -> tuple[bytes, list[bytes]]:
    """Run on a worker's own sandbox alone: the hash of the output, and its files."""
    run = await run_map(runs)
    async with runs.worker():
        return await outcome(runs, run)


async def outcome(runs: RunsSystem, run: UUID) -> tuple[bytes, list[bytes]]:
    row = await runs.ended(run)
    assert row["status"] == "succeeded", row["error"]
    assert (row["parts_done"], row["rows_in"], row["rows_out"]) == (FILES, FILES * 5, FILES * 5)
    assert await runs.count("run_outputs") == 0
    return row["output_sha256"], [await runs.read("out", f"{n}") for n in range(FILES)]


@asynccontextmanager
async def local_engine(runs: RunsSystem, _worker: UUID, _folder: Path) -> AsyncIterator[Engine]:
    yield LocalEngine(runs.resources)


@asynccontextmanager
async def cluster_engine(runs: RunsSystem, worker: UUID, folder: Path) -> AsyncIterator[Engine]:
    with dask_cluster(runs.resources.settings, folder, workers=2) as cluster:
        async with dask_engine(runs, cluster, worker) as engine:
            await until(lambda: engine.capacity == 2)
            yield engine


@pytest.mark.parametrize("open_engine", [local_engine, cluster_engine])
async def test_an_engine_runs_parts_returns_outcomes_and_stops_what_is_cancelled(
    runs: RunsSystem, tmp_path: Path, open_engine: Callable[..., Any]
) -> None:
    worker = uuid.uuid7()
    await register(runs, worker)
    async with open_engine(runs, worker, tmp_path / "engine") as engine:
        assert engine.capacity >= 2
        parts = await claimed_parts(runs, worker, await run_map(runs))

        # Two at once, each with its own outcome, which nobody has recorded yet.
        finishes = await asyncio.gather(
            *(run_on(engine, each, ResourceUsage()) for each in parts[:2])
        )
        for part, finish in zip(parts, finishes, strict=False):
            assert finish.status is Status.SUCCEEDED
            assert finish.v8_version == runs.resources.sandbox.v8_version
            assert finish.result is not None
            assert finish.cpu_ms > 0
            written = await runs.resources.pool.fetchrow(
                "SELECT o.lease_token, o.records, e.status FROM run_outputs AS o "
                "JOIN executions AS e ON e.id = o.execution_id WHERE o.execution_id = $1",
                part.id,
            )
            assert written is not None
            assert tuple(written) == (part.lease_token, 5, "running")

        # A failure of the script is an outcome, too.
        failing = await claimed_parts(runs, worker, await run_map(runs, source=THROWS))
        finish = await run_on(engine, failing[0], ResourceUsage())
        assert (finish.status, finish.error_kind) == (Status.FAILED, "script_error")

        # A cancelled part stops, and the engine has room for others.
        endless = await claimed_parts(runs, worker, await run_map(runs, source=ENDLESS))
        usages = [ResourceUsage() for _ in endless[:2]]
        running = [
            asyncio.create_task(run_on(engine, part, usage))
            for part, usage in zip(endless, usages, strict=False)
        ]
        await asyncio.sleep(0.5)
        for part, task in zip(endless, running, strict=False):
            task.cancel()
            async with runs.resources.pool.acquire() as conn:
                await cancellations.cancel(conn, part.tenant_id, part.id)
                await cancellations.notify_workers(conn, part.id)
        await asyncio.wait(running)
        assert all(task.cancelled() for task in running)
        finish = await run_on(engine, parts[2], ResourceUsage())
        assert finish.status is Status.SUCCEEDED


async def test_a_killed_worker_of_the_cluster_costs_its_own_part_and_changes_no_byte(
    runs: RunsSystem, settings: Settings, tmp_path: Path
) -> None:
    expected = await undisturbed(runs)
    with dask_cluster(settings, tmp_path / "dask", workers=2) as cluster:
        async with engine_worker(runs, cluster) as engine:
            await until(lambda: engine.capacity == 2)
            run = await run_map(runs)
            await until_elsewhere(runs, 2)
            cluster.workers[0].kill()
            assert await outcome(runs, run) == expected
            assert engine.capacity == 1
        attempts = await runs.resources.pool.fetch(
            "SELECT attempts, worker_id FROM executions WHERE run_id = $1 ORDER BY attempts", run
        )
        # One part had begun there, and only that one was run again.
        assert [each["attempts"] for each in attempts] == [1] * (FILES - 1) + [2]
        names = [each["worker_id"] for each in attempts]
        assert len(set(names)) == 2, "the worker itself, and the one of the cluster that is left"


async def test_without_its_scheduler_a_worker_runs_the_parts_itself(
    runs: RunsSystem, settings: Settings, tmp_path: Path
) -> None:
    expected = await undisturbed(runs)
    with dask_cluster(settings, tmp_path / "dask", workers=2) as cluster:
        async with engine_worker(runs, cluster) as engine:
            await until(lambda: engine.capacity == 2)
            run = await run_map(runs)
            await until_elsewhere(runs, 2)
            cluster.scheduler.kill()
            assert await outcome(runs, run) == expected
            assert engine.capacity == 0
            async with runs.resources.pool.acquire() as conn:
                [shown] = await workers.select_workers(conn, seen_within_seconds=60)
            assert shown.trouble is None
            assert shown.engine is not None
            assert shown.engine.trouble == "its scheduler does not answer"
    # The loss of a scheduler is no part's fault.
    attempts = await runs.resources.pool.fetchval(
        "SELECT max(attempts) FROM executions WHERE run_id = $1", run
    )
    assert attempts == 1


async def test_a_worker_without_lockdown_or_of_another_database_gets_no_part(
    runs: RunsSystem, settings: Settings, tmp_path: Path, empty_database_url: str
) -> None:
    worker = uuid.uuid7()
    await register(runs, worker)
    with dask_cluster(settings, tmp_path / "dask") as cluster:
        async with dask_engine(runs, cluster, worker) as engine:
            # It would not run user code itself; the other would.
            cluster.add_worker(prefix=WITHOUT_SECCOMP)
            cluster.add_worker(prefix=WITHOUT_SECCOMP, CRIVO_SANDBOX_WITHOUT_SECCOMP="true")
            cluster.add_worker(DATABASE_URL=empty_database_url)
            await until(lambda: len(engine.refusals) == 3)
            refusals = sorted(engine.refusals)
            assert refusals[0].startswith("system calls of user code are not filtered (seccomp is")
            assert refusals[1].startswith("system calls of user code are not filtered (seccomp is")
            assert refusals[2].startswith("the database is at revision none")
            assert engine.capacity == 0
            assert engine.trouble == "3 of 3 workers are refused, as the log explains"
            [part, *_] = await claimed_parts(runs, worker, await run_map(runs))
            with pytest.raises(PartLost) as lost:
                await run_on(engine, part, ResourceUsage())
            assert not lost.value.begun


async def test_a_token_admits_one_attempt(runs: RunsSystem) -> None:
    worker, first, second = uuid.uuid7(), uuid.uuid7(), uuid.uuid7()
    key = SchemaKey(uuid.uuid7(), 1)
    await runs.resources.pool.execute(INSERT_SCHEMA, key.schema_id, runs.tenant)
    named = VersionSchemas(input=key, output=key)
    [part, *_] = await claimed_parts(runs, worker, await run_map(runs, schemas=named))
    # What an engine's worker takes has the schemas, too.
    assert (part.input_schema, part.output_schema) == (key, key)
    assignment = Assignment(execution=part.id, token=part.lease_token, worker=worker)
    async with runs.resources.pool.acquire() as conn:
        forged = replace(assignment, token=part.lease_token + 1)
        assert await assignment_store.take(conn, forged, first) is None
        assert await assignment_store.take(conn, assignment, first) == part
        assert await assignment_store.take(conn, assignment, second) is None


async def test_the_slots_of_an_engine_take_parts_only_and_tenants_take_turns(
    runs: RunsSystem,
) -> None:
    worker, queues = uuid.uuid7(), Queues(runs.resources.pool)
    # It has run nothing yet; what it has queued as an execution is not for an engine.
    newcomer = RunsSystem(runs.resources)
    newcomer.tenant = newcomer.caller.tenant = await queues.tenant()
    await queues.accept(newcomer.tenant, 1)
    first, second = await run_map(runs), await run_map(newcomer)
    await runs.resources.pool.execute(
        "INSERT INTO tenant_shares (tenant_id, used_seconds) VALUES ($1, 1000)", runs.tenant
    )
    await runs.resources.pool.execute(
        "UPDATE tenants SET max_running = 3 WHERE id = $1", newcomer.tenant
    )
    await advance(runs.resources, first)
    await advance(runs.resources, second)
    claimed = await claimed_parts(runs, worker, None, limit=5)
    assert [each.run_id for each in claimed] == [second] * 3 + [first] * 2
    assert len(await claimed_parts(runs, worker, None)) == FILES - 2
    assert await claimed_parts(runs, worker, None) == []
