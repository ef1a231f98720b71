"""Runs delete in time what they leave behind, and keep what they still read."""

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from app.datasets import service
from app.datasets.model import PutDataset
from app.datasets.retention import expire_snapshots_of
from app.db import Pool
from app.executions.retention import delete_executions
from app.preconditions import NO_PRECONDITIONS
from app.runs.advance import advance
from app.runs.retention import delete_runs, erase_errors
from app.sandbox.parts import OnError, Task
from app.settings import Settings
from tests.runs.systems import RunsSystem, open_runs

MAP = "const map = r => { if (r === 2) throw new Error('two'); return r; };"


@pytest.fixture
async def runs(pool: Pool, settings: Settings) -> AsyncIterator[RunsSystem]:
    assert pool is not None
    async with open_runs(settings) as system:
        yield system


async def test_a_snapshot_stays_while_a_run_reads_it(runs: RunsSystem) -> None:
    read = await runs.dataset("in", {"a": [b"1\n"]})
    await runs.dataset("out", {})
    run = await runs.start(await runs.script(MAP), "in", Task.MAP, output="out")
    await runs.publish("in", "b", [b"3\n"])
    wanted = replace(PutDataset(), keep_snapshots=1)
    await service.put(runs.resources, runs.caller, "in", wanted, preconditions=NO_PRECONDITIONS)
    expire = (runs.resources.settings, runs.tenant, read)
    async with runs.resources.pool.acquire() as conn:
        assert (await expire_snapshots_of(conn, *expire)).snapshots == 0
    async with runs.worker():
        assert (await runs.ended(run))["status"] == "succeeded"
    async with runs.resources.pool.acquire() as conn:
        assert (await expire_snapshots_of(conn, *expire)).snapshots == 1


async def test_an_old_run_is_deleted_with_all_that_it_has_kept(runs: RunsSystem) -> None:
    await runs.dataset("in", {"a": [b"1\n2\n3\n"]})
    await runs.dataset("out", {})
    script = await runs.script(MAP)
    run = await runs.start(script, "in", Task.MAP, output="out", on_error=OnError.DEAD_LETTER)
    async with runs.worker():
        await runs.ended(run)
    assert await runs.count("run_errors") == 1
    pool = runs.resources.pool
    await pool.execute("UPDATE runs SET finished_at = finished_at - interval '40 days'")
    await pool.execute("UPDATE executions SET finished_at = finished_at - interval '40 days'")
    async with pool.acquire() as conn:
        assert (await erase_errors(conn, 30, 10)).rows == 1
        assert (await delete_runs(conn, 30, 10)).rows == 0
        await delete_executions(conn, 30, 10)
        assert (await delete_runs(conn, 30, 10)).rows == 1
    for table in ("runs", "run_parts", "run_attempts", "run_outputs", "run_errors"):
        assert await runs.count(table) == 0
    assert await runs.read("out", "a") == b"1\n3\n"


async def test_what_a_lost_attempt_has_written_is_not_published(runs: RunsSystem) -> None:
    await runs.dataset("in", {"a": [b"1\n"]})
    await runs.dataset("out", {})
    run = await runs.start(await runs.script(MAP), "in", Task.MAP, output="out")
    await advance(runs.resources, run)
    pool = runs.resources.pool
    key = f"{runs.tenant}/datasets/01a220eb-1a32-742c-a76d-9e89852f023e"
    async with runs.resources.blobs.writer(key) as writer:
        await writer.write(b"lost")
    await pool.execute(
        """
        INSERT INTO run_outputs
        SELECT p.execution_id, 1, 1, p.run_id, p.tenant_id, sha256('lost'), 4, 4, 0, 1, 1, 1, 0,
               true, $1, NULL
        FROM run_parts AS p
        """,
        key,
    )
    async with runs.worker():
        assert (await runs.ended(run))["status"] == "succeeded"
    assert await runs.read("out", "a") == b"1\n"
    assert await runs.count("run_outputs") == 0
    assert runs.resources.blobs.folder is not None
    assert not (runs.resources.blobs.folder / key).exists()


async def test_a_part_that_an_older_worker_has_run_runs_again(runs: RunsSystem) -> None:
    await runs.dataset("in", {"a": [b"1\n"]})
    await runs.dataset("out", {})
    run = await runs.start(await runs.script(MAP), "in", Task.MAP, output="out")
    await advance(runs.resources, run)
    await runs.resources.pool.execute(
        "UPDATE executions SET status = 'succeeded', started_at = now(), finished_at = now(), "
        "lease_token = 1"
    )
    async with runs.worker():
        row = await runs.ended(run)
    assert (row["status"], row["rows_out"]) == ("succeeded", 1)
    assert await runs.count("executions") == 2
