"""A batch of failed records is bounded in time, and published with its marks or not at all."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import uuid_utils.compat as uuid
from asyncpg.transaction import Transaction

from app.db import Pool
from app.redrives import run_mapping, runner, runs, store
from app.redrives.model import NewRedrive, Redrive, RedriveFilter, RedriveKind
from app.sandbox.outcomes import Io
from app.sandbox.parts import OnError, Task
from app.scripts.model import ResolvedVersion
from app.settings import Settings
from tests.runs.systems import RunsSystem, open_runs
from tests.support.lock_waits import (
    begin_to_count_bytes,
    require_bytes_unlocked,
    until_one_waits,
)

_STRICT = "const map = () => { throw new Error('no'); };"
_IDENTITY = "const map = r => r;"
_HANGS = "const map = r => { while (r === 3); return r; };"
_LINES = b"1\n2\n3\n4\n5\n"


@pytest.fixture
async def failed(pool: Pool, settings: Settings) -> AsyncIterator[RunsSystem]:
    """A run into `out` that has ended, and whose five records have failed."""
    assert pool is not None
    async with open_runs(settings) as system:
        await system.dataset("in", {"a": [_LINES]})
        await system.dataset("out", {})
        script = await system.script(_STRICT)
        started = await system.start(
            script, "in", Task.MAP, output="out", on_error=OnError.DEAD_LETTER
        )
        async with system.worker():
            await system.ended(started)
        assert await system.count("run_errors") == 5
        yield system


async def begin(system: RunsSystem, source: str) -> UUID:
    """Begin to re-drive the failed records with a script."""
    redrive, script = uuid.uuid7(), await system.script(source)
    async with system.resources.pool.acquire() as conn, conn.transaction():
        run = await conn.fetchval("SELECT id FROM runs")
        filter_ = RedriveFilter(run=str(run))
        version = ResolvedVersion(
            script_id=script, version=1, archived_at=None, io=Io.JSON, has_process=False
        )
        match = await runs.find(conn, system.tenant, filter_, version, redrive)
        new = NewRedrive(
            id=redrive,
            kind=RedriveKind.RUN,
            filter=filter_,
            subject_id=run,
            script_id=script,
            script_version=1,
            per_second=None,
            matched=await runs.mark(conn, system.tenant, match),
        )
        await store.insert_redrive(conn, system.tenant, new)
    return redrive


async def after_next(system: RunsSystem, redrive: UUID) -> Redrive:
    """Try a batch, and return what the re-drive shows then."""
    assert await runner.run_next(system.resources, system.cache, uuid.uuid7())
    async with system.resources.pool.acquire() as conn:
        shown = await store.select_redrive(conn, system.tenant, redrive)
    assert shown is not None
    return shown


async def published(system: RunsSystem, redrive: UUID) -> bytes:
    return await system.read("out", f"redrives/{redrive}/2.jsonl")


async def test_a_batch_that_is_cancelled_once_it_is_committed_stays_whole(
    failed: RunsSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    redrive = await begin(failed, _IDENTITY)
    end = Transaction.__aexit__

    # Stands in for a lease that is lost while the commit's answer is on its way.
    async def end_and_cancel(
        self: Transaction, kind: type[BaseException] | None, error: object, trace: object
    ) -> None:
        await end(self, kind, error, trace)
        monkeypatch.undo()
        raise asyncio.CancelledError

    monkeypatch.setattr(Transaction, "__aexit__", end_and_cancel)
    with pytest.raises(asyncio.CancelledError):
        await runner.run_next(failed.resources, failed.cache, uuid.uuid7())
    assert await published(failed, redrive) == _LINES


async def test_a_record_that_hangs_holds_the_cell_for_less_than_the_runs_own_time(
    failed: RunsSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Seconds, which a test need not wait for.
    monkeypatch.setattr(run_mapping, "_STEP_WALL_MS", 300)
    monkeypatch.setattr(run_mapping, "_RECORD_WALL_MS", 400)
    redrive = await begin(failed, _HANGS)
    shown = await after_next(failed, redrive)
    assert (shown.moved, shown.failed_again, shown.remaining) == (4, 1, 0)
    assert b'"limit_ms": 400' in bytes(shown.failures)
    assert await published(failed, redrive) == b"1\n2\n4\n5\n"


async def test_a_batch_whose_time_is_over_is_recorded_as_far_as_it_has_come(
    failed: RunsSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_mapping, "_FIRST_STEP", 2)
    monkeypatch.setattr("app.redrives.run_batches._BATCH_SECONDS", 0.0)
    redrive = await begin(failed, _IDENTITY)
    assert [(await after_next(failed, redrive)).moved for _ in range(3)] == [2, 4, 5]
    assert (await after_next(failed, redrive)).status == "finished"


async def test_a_batch_takes_the_records_before_the_tenants_bytes(failed: RunsSystem) -> None:
    redrive, pool = await begin(failed, _IDENTITY), failed.resources.pool
    await begin_to_count_bytes(pool)
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT FROM run_errors FOR UPDATE")
        batch = asyncio.create_task(after_next(failed, redrive))
        await until_one_waits(pool, batch)
        # As retention does, which has deleted records by now.
        await require_bytes_unlocked(conn)
    assert (await batch).moved == 5
