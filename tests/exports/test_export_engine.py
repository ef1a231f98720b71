"""Tasks of exports are given to an engine once each, and cut for its workers."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uuid
from msgspec.structs import replace

from app.db import Connection, Pool
from app.exports import claim_store, task_store
from app.exports.acceptance_store import has_engine
from app.exports.engines import dask_task
from app.exports.engines.messages import Finished
from app.exports.first_tasks import first_tasks
from app.exports.lease import Lease
from app.exports.parts import ReadParts
from app.exports.task_store import Assignment
from app.limits import EXPORT_TASK_BYTES
from app.settings import Settings
from app.workers import store as workers
from app.workers.model import EngineState
from tests.exports.running_exports import RunningExports, StandInTask, lines, open_exports


@pytest.fixture
async def exports(pool: Pool, settings: Settings) -> AsyncIterator[RunningExports]:
    async with open_exports(pool, settings) as running:
        yield running


async def heartbeat(conn: Connection, worker: UUID, engine: EngineState) -> None:
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


async def test_a_token_admits_one_attempt_on_an_engine(exports: RunningExports) -> None:
    await exports.create()
    worker, first, second = uuid.uuid7(), uuid.uuid7(), uuid.uuid7()
    async with exports.pool.acquire() as conn:
        task = await claim_store.claim_task(conn, worker, lease_seconds=60, publishes=False)
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
        renew = partial(
            task_store.renew, conn, task, lease_seconds=None, raw_bytes_done=0, reads=False
        )
        assert await renew()
        await task_store.release(conn, task, after_seconds=0, counts=True)
        assert not await renew()


async def test_what_a_task_on_an_engine_has_read_is_told_and_ends_its_trouble(
    exports: RunningExports, monkeypatch: pytest.MonkeyPatch
) -> None:
    await exports.datasets.put("a.jsonl", lines(*range(9)))
    export = await exports.create()
    run_task = StandInTask()
    run_task.may_end.clear()
    monkeypatch.setattr(dask_task, "run_task", run_task)
    monkeypatch.setattr(dask_task, "_CHECK_SECONDS", 0.01)
    worker = uuid.uuid7()
    async with exports.pool.acquire() as conn:
        task = await claim_store.claim_task(conn, worker, lease_seconds=60, publishes=False)
        assert task is not None
        await task_store.release(conn, task, after_seconds=0, counts=True, trouble="a reason")
        task = await claim_store.claim_task(conn, worker, lease_seconds=60, publishes=False)
        assert task is not None
    assignment = Assignment(
        export_id=export,
        stage=task.stage,
        number=task.number,
        token=task.lease_token,
        worker=worker,
    )
    claimed = Lease(exports.resources, task)

    async def row() -> asyncpg.Record:
        # The worker that has claimed it knows nothing of its progress.
        assert await claimed.renew()
        [row] = await exports.tasks(export)
        return row

    running = asyncio.create_task(
        dask_task.run_assignment(assignment, exports.resources, uuid.uuid7())
    )
    async with asyncio.timeout(20):
        while (await row())["trouble"]:  # noqa: ASYNC110 - a row tells nobody
            await asyncio.sleep(0.01)
        assert (await row())["raw_bytes_done"] == task.raw_bytes // 2 > 0
        run_task.may_end.set()
        assert isinstance(await running, Finished)


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
