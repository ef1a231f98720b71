"""Exports and their files are deleted by age, and no file that another export has."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import uuid_utils.compat as uuid
from msgspec.structs import replace

from app.db import Pool
from app.exports import claim_store, ending, input_store, outcome_store
from app.exports.model import ExportStatus
from app.exports.plan.model import TaskFailed
from app.exports.retention import EXPORT_OWNER, delete_exports, delete_files
from app.exports.task_store import ClaimedTask
from app.exports.work import Outcome
from app.payloads.retention import delete_orphans, expire
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.exports.running_exports import RunningExports, StandInTask, lines, open_exports, report
from tests.support.lock_waits import until_one_waits


@pytest.fixture
async def exports(pool: Pool, settings: Settings) -> AsyncIterator[RunningExports]:
    async with open_exports(pool, settings) as running:
        yield running


async def test_files_are_deleted_by_age_and_blobs_only_when_no_export_names_them(
    exports: RunningExports,
) -> None:
    await exports.datasets.put("a.jsonl", lines(1))
    first = await exports.create()
    await exports.run_all(StandInTask())
    kept = {each["blob_key"] for each in await exports.published(first)}
    second = await exports.create(base=first)
    async with exports.pool.acquire() as conn:
        await _make_old(exports, first)
        # It is continued by one that has not ended.
        assert (await delete_files(conn, 30, 10)).items == 0
        assert (await delete_exports(conn, 30, 10)).items == 0
        await exports.run_all(StandInTask())
        # A file of both counts once, until none has it.
        assert await exports.stored_bytes() == 4 * 4096
        expired = await delete_files(conn, 30, 10)
        assert await exports.stored_bytes() == 4 * 4096
        assert (expired.items, expired.rows, len(expired.blob_keys)) == (1, 2, 2)
        assert (await delete_files(conn, 30, 10)).items == 0
        assert (await delete_exports(conn, 30, 10)).items == 1
    assert len(await exports.published(second)) == 4
    assert exports.blob_keys() >= kept
    await exports.pool.execute("DELETE FROM export_files WHERE stage = 'base'")
    await delete_orphans(
        exports.pool, exports.blobs, (EXPORT_OWNER,), min_age=timedelta(seconds=-60)
    )
    assert exports.blob_keys() == {each["blob_key"] for each in await exports.published(second)}
    assert await exports.stored_bytes() == 2 * 4096


async def test_files_count_no_longer_once_two_workers_have_deleted_them(
    exports: RunningExports,
) -> None:
    await exports.datasets.put("a.jsonl", lines(1))
    first = await exports.create()
    await exports.run_all(StandInTask())
    second = await exports.create(base=first)
    await exports.run_all(StandInTask())
    await _make_old(exports, first)
    async with exports.pool.acquire() as one, exports.pool.acquire() as other:
        transaction = one.transaction()
        await transaction.start()
        assert (await delete_files(one, 30, 10)).rows == 2
        await _make_old(exports, second)
        deleting = asyncio.create_task(delete_files(other, 30, 10))
        # Each still sees what the other deletes.
        await until_one_waits(exports.pool, deleting)
        await transaction.commit()
        assert (await deleting).rows == 4
    assert await exports.stored_bytes() == 0


async def test_an_export_that_fails_leaves_the_files_of_the_one_that_it_continues(
    exports: RunningExports,
) -> None:
    await exports.datasets.put("a.jsonl", lines(1))
    first = await exports.create()
    await exports.run_all(StandInTask())
    second = await exports.create(base=first)
    async with exports.runner(StandInTask()) as runner:
        assert await runner.run_next()
    kept = {each["blob_key"] for each in await exports.published(first)}
    assert exports.blob_keys() > kept
    async with exports.pool.acquire() as conn, conn.transaction():
        ended = await ending.end(conn, TENANT, second, ExportStatus.FAILED, error=b"{}")
    await ending.after_commit(exports.resources, ended)
    assert exports.blob_keys() == kept
    assert await exports.stored_bytes() == 2 * 4096


async def test_files_of_a_base_that_are_deleted_meanwhile_are_not_kept(
    exports: RunningExports, tmp_path: Path
) -> None:
    await exports.datasets.put("a.jsonl", lines(1))
    first = await exports.create()
    await exports.run_all(StandInTask())
    await _make_old(exports, first)
    async with exports.pool.acquire() as deleting:
        transaction = deleting.transaction()
        await transaction.start()
        await delete_files(deleting, 30, 10)
        # Neither sees the other: the export is accepted, its base is read.
        second = await exports.create(base=first)
        async with exports.pool.acquire() as conn:
            task = await claim_store.claim_task(conn, uuid.uuid7(), lease_seconds=60.0)
            assert task is not None
            read = await input_store.read_input(conn, task)
            outcome = Outcome(report=report(tmp_path, {}), files=(), kept=read.base)
            recording = asyncio.create_task(_record(exports, task, outcome))
            await until_one_waits(exports.pool, recording)
            await transaction.commit()
    with pytest.raises(TaskFailed) as failed:
        await recording
    assert failed.value.kind == "input_deleted"
    assert [each["done_token"] for each in await exports.tasks(second)] == [None]


async def _record(exports: RunningExports, task: ClaimedTask, outcome: Outcome) -> None:
    async with exports.pool.acquire() as conn, conn.transaction():
        await outcome_store.record(conn, task, outcome)


async def test_everything_that_is_old_is_deleted_at_once(exports: RunningExports) -> None:
    created = [await exports.create() for _ in range(11)]
    await exports.run_all(StandInTask())
    for each in created:
        await _make_old(exports, each)
    settings = replace(exports.resources.settings, keep_receipts_days=30)
    await expire(exports.pool, exports.blobs, settings, (EXPORT_OWNER,))
    assert await exports.pool.fetchval("SELECT count(*) FROM exports") == 0


async def _make_old(exports: RunningExports, export: UUID) -> None:
    await exports.pool.execute(
        "UPDATE exports SET created_at = created_at - interval '40 days', "
        "finished_at = finished_at - interval '40 days' WHERE id = $1",
        export,
    )
