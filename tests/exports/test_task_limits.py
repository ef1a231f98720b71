"""A task has disk and time within bounds, and ends once its tenant is suspended."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from shutil import disk_usage

import pytest
from msgspec.structs import replace

from app.db import Pool
from app.exports import disk_room
from app.exports.disk_room import room_of
from app.exports.plan.model import HeldFile, MapTask, TaskFailed, Whole, WriteTask
from app.limits import GIB
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.exports.running_exports import RunningExports, StandInTask, open_exports


@pytest.fixture
async def exports(pool: Pool, settings: Settings) -> AsyncIterator[RunningExports]:
    async with open_exports(pool, replace(settings, lease_seconds=2)) as running:
        yield running


async def test_a_task_without_space_is_tried_again_until_it_had_none_too_often(
    exports: RunningExports,
) -> None:
    in_duckdb, here = TaskFailed("out_of_space", "no space is left"), OSError(28, "full")
    freed, full = await exports.create(), await exports.create()
    for export, errors in ((freed, [in_duckdb, here]), (full, [here, in_duckdb, here])):
        await exports.pool.execute(
            "UPDATE export_tasks SET due_at = CASE WHEN export_id = $1 THEN now() "
            "ELSE 'infinity' END WHERE done_token IS NULL",
            export,
        )
        async with exports.runner(StandInTask(*errors)) as runner:
            while await runner.run_next():
                await exports.pool.execute(
                    "UPDATE export_tasks SET due_at = now() "
                    "WHERE export_id = $1 AND due_at < 'infinity'",
                    export,
                )
    assert (await exports.row(freed))["status"] == "succeeded"
    row = await exports.row(full)
    assert (row["status"], json.loads(row["error"])["kind"]) == ("failed", "out_of_space")
    assert [each["attempts"] for each in await exports.tasks(full)] == [3]


async def test_a_task_of_a_full_disk_is_not_begun_and_waits(
    exports: RunningExports, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Stands in for a disk of which others have taken almost all.
    monkeypatch.setattr(disk_room, "MAX_DISK_RESERVE_BYTES", 10**18)
    monkeypatch.setattr(disk_room, "_RESERVE_SHARE", 1)
    export = await exports.create()
    stand_in = StandInTask()
    async with exports.runner(stand_in) as runner:
        assert await runner.run_next()
    [task] = await exports.tasks(export)
    assert (task["attempts"], task["trouble"]) == (0, "the service's disk is full")
    assert not stand_in.began.is_set()
    monkeypatch.undo()
    await exports.pool.execute("UPDATE export_tasks SET due_at = now()")
    await exports.run_all(stand_in)
    assert (await exports.row(export))["status"] == "succeeded"


async def test_a_task_that_computes_for_too_long_fails_its_export(
    pool: Pool, settings: Settings
) -> None:
    async with open_exports(pool, replace(settings, export_task_seconds=1)) as exports:
        export = await exports.create()
        stand_in = StandInTask()
        stand_in.may_end.clear()
        async with asyncio.timeout(30):
            await exports.run_all(stand_in)
        assert stand_in.cancelled
        row = await exports.row(export)
    assert (row["status"], json.loads(row["error"])["kind"]) == ("failed", "timeout")


async def test_a_task_ends_when_its_tenant_is_suspended_and_goes_on_later(
    exports: RunningExports,
) -> None:
    export = await exports.create()
    stand_in = StandInTask()
    stand_in.may_end.clear()
    running = asyncio.create_task(exports.run_all(stand_in))
    await stand_in.began.wait()
    await exports.pool.execute("UPDATE tenants SET suspended_at = now() WHERE id = $1", TENANT)
    async with asyncio.timeout(30):
        await running
    assert stand_in.cancelled
    [task] = await exports.tasks(export)
    assert (task["attempts"], task["trouble"]) == (0, "the tenant is suspended")
    assert exports.folders() == []
    await exports.pool.execute("UPDATE tenants SET suspended_at = NULL WHERE id = $1", TENANT)
    await exports.run_all(StandInTask())
    assert (await exports.row(export))["status"] == "succeeded"


def test_a_task_has_room_as_the_setting_says_or_by_what_it_reads(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    file.write_bytes(b"1" * 1_000)
    tasks = (
        (Whole(sources=[], base=[HeldFile(local=str(file))]), 17_000),
        (MapTask(sources=[], number=0, buckets=1), 1_000),
        (WriteTask(held=[HeldFile(local=str(file))], partitions=[]), 16_000),
    )
    for task, read_bytes in tasks:
        measured = room_of(task, tmp_path, raw_bytes=1_000, disk_bytes=0)
        assert measured.is_scarce or measured.max_bytes == 4 * GIB + 8 * read_bytes
        given = room_of(task, tmp_path, raw_bytes=1_000, disk_bytes=1_000)
        assert (given.max_bytes, given.is_scarce) == (1_000, False)
        scarce = room_of(task, tmp_path, raw_bytes=1_000, disk_bytes=10**18)
        assert scarce.is_scarce
        assert scarce.max_bytes < disk_usage(tmp_path).total // 2
