"""Tasks of exports on a cluster's workers: the rows are those of one machine, whoever is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest
import uuid_utils.compat as uuid
from msgspec.structs import replace

from app.background import background
from app.db import Connection, Pool
from app.exports import task_store
from app.exports.acceptance_store import has_engine
from app.exports.advance import run_advance
from app.exports.engines.runner import run_exports_on
from app.exports.first_tasks import first_tasks
from app.exports.parts import ReadParts
from app.exports.plan.process import run_task
from app.exports.task_store import Assignment
from app.limits import EXPORT_TASK_BYTES, MIB
from app.runs.engines.dask import DaskEngine, open_dask_engine
from app.runs.engines.messages import Proof
from app.runs.engines.requirements import Requirements
from app.settings import Settings
from app.workers import store as workers
from app.workers.model import EngineState
from tests.exports.running_exports import RunningExports, open_exports
from tests.exports.test_exports_by_duckdb import PLAN, events, jsonl, published, survivors
from tests.runs.dask_cluster import DaskCluster, dask_cluster

FILES: Final = 6
SELECT_ELSEWHERE: Final = """
SELECT count(*) FROM export_tasks
WHERE done_token IS NULL AND lease_token IS NOT NULL AND worker_id <> $1
"""


class AnyV8(Requirements, frozen=True):
    """Of a test without a sandbox of its own; its tasks run no scripts."""

    def refusal_of(self, proof: Proof) -> str:
        return super().refusal_of(replace(proof, v8_version=self.v8_version))


@pytest.fixture
async def exports(pool: Pool, settings: Settings) -> AsyncIterator[RunningExports]:
    small = replace(settings, export_memory_bytes=256 * MIB, export_threads=1)
    async with open_exports(pool, small) as running:
        yield running


async def heartbeat(conn: Connection, worker: UUID, engine: EngineState | None = None) -> None:
    await workers.record_heartbeat(
        conn,
        worker,
        host="h",
        pid=1,
        slots=1,
        v8_version="",
        lockdown={},
        max_memory_bytes=None,
        engine=engine,
    )


@asynccontextmanager
async def engine_worker(
    exports: RunningExports, cluster: DaskCluster
) -> AsyncIterator[tuple[DaskEngine, object]]:
    """A worker that hands tasks over to an engine, and runs none itself."""
    worker = uuid.uuid7()
    async with exports.pool.acquire() as conn:
        await heartbeat(conn, worker)
    requirements = AnyV8(v8_version="", without_seccomp=False)
    async with (
        open_dask_engine(
            f"dask://{cluster.address}", worker=worker, requirements=requirements
        ) as engine,
        background(run_advance(exports.resources)),
        background(run_exports_on(exports.resources, worker, engine)),
    ):
        yield engine, worker


async def until(exports: RunningExports, query: str, *values: object) -> None:
    async with asyncio.timeout(120):
        while not await exports.pool.fetchval(query, *values):  # noqa: ASYNC110 - others change it
            await asyncio.sleep(0.02)


async def test_a_cluster_that_loses_a_worker_writes_the_rows_of_one_machine(
    exports: RunningExports, tmp_path: Path
) -> None:
    files = [events(20_000, seed=seed) for seed in range(FILES)]
    for number, rows in enumerate(files):
        await exports.datasets.put(f"{number}.jsonl", jsonl(rows))
    expected = survivors(*files)
    here = await exports.create(PLAN)
    await exports.run_all(run_task)
    assert await published(exports, here) == expected
    there = await exports.create(PLAN, buckets=3)
    with dask_cluster(exports.resources.settings, tmp_path / "dask", workers=2) as cluster:
        async with engine_worker(exports, cluster) as (engine, worker):
            # Both have one.
            await until(exports, f"SELECT ({SELECT_ELSEWHERE}) = 2", worker)
            assert engine.workers == 2
            cluster.workers[0].kill()
            await until(
                exports,
                "SELECT stage = 'publish' OR error IS NOT NULL FROM exports WHERE id = $1",
                there,
            )
            assert engine.workers == 1
    # What publishes is left to workers themselves.
    await exports.run_all(run_task)
    assert await published(exports, there) == expected
    tasks = await exports.tasks(there)
    lost = [each for each in tasks if each["attempts"] > 1]
    assert [each["stage"] for each in lost] == ["map"]
    assert {each["stage"] for each in tasks} == {"map", "bucket", "write", "publish"}
    engines = [(await exports.row(each))["engine"] for each in (here, there)]
    assert engines == [None, "dask"]
    columns = [(await exports.row(each))["columns"] for each in (here, there)]
    assert columns[0] == columns[1]
    # What the lost one has uploaded is deleted by age.
    used = {
        each["blob_key"] for export in (here, there) for each in await exports.published(export)
    }
    assert exports.blob_keys() >= used


async def test_a_token_admits_one_attempt_on_an_engine(exports: RunningExports) -> None:
    await exports.datasets.put("a.jsonl", jsonl(events(10, seed=1)))
    await exports.create(PLAN)
    worker, first, second = uuid.uuid7(), uuid.uuid7(), uuid.uuid7()
    async with exports.pool.acquire() as conn:
        task = await task_store.claim_task(conn, worker, lease_seconds=60, publishes=False)
        assert task is not None
        assignment = Assignment(
            export_id=task.export_id,
            stage=task.stage,
            number=task.number,
            token=task.lease_token,
            worker=worker,
        )
        forged = replace(assignment, token=task.lease_token + 1)
        assert await task_store.take_task(conn, forged, first) is None
        assert await task_store.take_task(conn, assignment, first) == task
        assert await task_store.take_task(conn, assignment, second) is None
        assert await task_store.is_leased(conn, task)
        await task_store.release(conn, task, after_seconds=0, counts=True)
        assert not await task_store.is_leased(conn, task)


async def test_an_engine_is_seen_while_a_worker_says_that_it_has_slots(
    exports: RunningExports,
) -> None:
    for slots in (0, 2):
        state = EngineState(name="dask", slots=slots, trouble=None)
        async with exports.pool.acquire() as conn:
            await heartbeat(conn, uuid.uuid7(), engine=state)
            assert await has_engine(conn) is (slots > 0)
    await exports.pool.execute("UPDATE workers SET seen_at = seen_at - interval '1 minute'")
    async with exports.pool.acquire() as conn:
        assert not await has_engine(conn)


def test_what_one_task_would_take_is_shared_by_the_workers_of_an_engine() -> None:
    parts = [
        ReadParts(
            file_id=uuid.uuid7(),
            path="a.jsonl",
            first_part=1,
            last_part=9,
            first_line=0,
            raw_bytes=EXPORT_TASK_BYTES,
        )
        for _ in range(2)
    ]
    assert first_tasks(parts, for_engine=False)[0] == "whole"
    stage, tasks = first_tasks(parts, for_engine=True)
    assert (stage, len(tasks)) == ("map", 2)
    assert first_tasks(parts[:1], for_engine=True)[0] == "whole"
