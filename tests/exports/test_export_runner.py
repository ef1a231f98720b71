"""A runner records what a task comes to, once, and leaves nothing of what does not count."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
import uuid_utils.compat as uuid
from msgspec.structs import replace
from structlog.testing import capture_logs

from app.blobs import BlobWriter
from app.db import Pool
from app.exports import claim_store, ending, outcome_store, task_store
from app.exports.advance import advance_due, grouped
from app.exports.advance_store import Partition
from app.exports.model import ExportStatus
from app.exports.plan.model import TaskFailed, TaskLost
from app.exports.retention import EXPORT_OWNER
from app.exports.work import Outcome
from app.outages import BlobsUnavailable, DatabaseUnavailable
from app.payloads.retention import delete_orphans
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.exports.running_exports import RunningExports, StandInTask, lines, open_exports, report


@pytest.fixture
async def exports(pool: Pool, settings: Settings) -> AsyncIterator[RunningExports]:
    async with open_exports(pool, replace(settings, lease_seconds=2)) as running:
        yield running


async def test_an_export_is_published_with_names_of_its_own_and_counts(
    exports: RunningExports,
) -> None:
    await exports.datasets.put("a.jsonl", lines(1, 2))
    await exports.datasets.put("b.jsonl", lines(3))
    export = await exports.create()
    stand_in = StandInTask()
    await exports.run_all(stand_in)
    row = await exports.row(export)
    assert (row["status"], row["stage"], row["tasks"], row["tasks_done"]) == (
        "succeeded", "publish", 2, 2,
    )  # fmt: skip
    assert (row["rows_in"], row["duplicates"], row["rows_out"], row["files"], row["bytes"]) == (
        3, 1, 2, 2, 6,
    )  # fmt: skip
    assert row["raw_bytes_done"] == row["raw_bytes"] > 0
    assert (row["cpu_ms"], row["peak_memory_bytes"]) == (5.0, 1_000)
    assert len(stand_in.read) == 2
    files = await exports.published(export)
    end = export.hex[-12:]
    assert [each["name"] for each in files] == [
        f"day=1/{end}-1.parquet",
        f"day=2/{end}-2.parquet",
    ]
    assert [await exports.read(each["blob_key"]) for each in files] == [b"one", b"two"]
    assert await exports.stored_bytes() == 2 * 4096
    assert exports.folders() == []


async def test_a_task_that_cannot_succeed_fails_its_export_with_the_reason(
    exports: RunningExports,
) -> None:
    export = await exports.create(buckets=None)
    failed = TaskFailed("bad_row", "the key of a row is missing", {"path": "a", "line": 3})
    await exports.run_all(StandInTask(failed))
    row = await exports.row(export)
    assert (row["status"], row["error"]) == (
        "failed",
        b'{"kind": "bad_row", "message": "the key of a row is missing", "path": "a", "line": 3}',
    )


async def test_a_task_that_is_lost_is_tried_again_until_it_was_lost_too_often(
    exports: RunningExports,
) -> None:
    lost = TaskLost("DuckDB was killed")
    export = await exports.create()
    async with exports.runner(StandInTask(lost, lost, lost)) as runner:
        for _ in range(4):
            await exports.pool.execute("UPDATE export_tasks SET due_at = now()")
            assert await runner.run_next()
    row = await exports.row(export)
    assert row["status"] == "failed"
    assert b'"kind": "worker_lost"' in row["error"]


async def test_a_fault_that_comes_again_and_again_fails_the_export(
    exports: RunningExports,
) -> None:
    faults = (ValueError("a fault"), PermissionError(13, "of the folder"), ValueError("a fault"))
    export = await exports.create()
    async with exports.runner(StandInTask(*faults)) as runner:
        for _ in faults:
            await exports.pool.execute("UPDATE export_tasks SET due_at = now()")
            assert await runner.run_next()
    row = await exports.row(export)
    assert (row["status"], json.loads(row["error"])["kind"]) == ("failed", "internal")


async def test_an_outage_costs_no_attempt_and_leaves_no_file(exports: RunningExports) -> None:
    export = await exports.create()
    stand_in = StandInTask(BlobsUnavailable(), OSError(5, "no answer of the disk"))
    async with exports.runner(stand_in) as runner:
        for _ in range(2):
            await exports.pool.execute("UPDATE export_tasks SET due_at = now()")
            await runner.run_next()
    [task] = await exports.tasks(export)
    assert (task["attempts"], task["lease_token"]) == (0, None)
    assert (await exports.row(export))["status"] == "running"
    assert exports.folders() == []


async def test_an_outage_before_a_task_begins_costs_no_attempt(
    exports: RunningExports, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = await exports.create()
    for error in (DatabaseUnavailable(), asyncio.CancelledError()):
        # Stands in for a statement that meets an outage: none can be timed to meet just this one.
        monkeypatch.setattr(task_store, "start_export", AsyncMock(side_effect=error))
        async with exports.runner(StandInTask()) as runner:
            with suppress(asyncio.CancelledError):
                await runner.run_next()
        [task] = await exports.tasks(export)
        assert (task["attempts"], task["lease_token"]) == (0, None)


async def test_a_database_that_leaves_a_renewal_unanswered_costs_no_attempt(
    exports: RunningExports, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unanswered(*_: object, **__: object) -> bool:
        await asyncio.Event().wait()
        return True

    export = await exports.create()
    stand_in = StandInTask()
    stand_in.may_end.clear()
    monkeypatch.setattr(task_store, "renew", unanswered)
    async with exports.runner(stand_in) as runner:
        assert await runner.run_next()
    assert stand_in.cancelled
    [task] = await exports.tasks(export)
    assert (task["attempts"], task["lease_token"]) == (0, None)


async def test_a_step_that_fails_takes_nothing_from_the_task_before_it(
    exports: RunningExports, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = await exports.create()
    with monkeypatch.context() as patch, capture_logs() as logs:
        # Stands in for a step with a fault of the program, of which none is known.
        patch.setattr("app.exports.runner.advance", AsyncMock(side_effect=ValueError("a fault")))
        async with exports.runner(StandInTask()) as runner:
            assert await runner.run_next()
    assert {"export.task_done", "export.step_failed"} <= {each["event"] for each in logs}
    assert "export.task_failed" not in {each["event"] for each in logs}
    await advance_due(exports.resources, {})
    await exports.run_all(StandInTask())
    assert (await exports.row(export))["status"] == "succeeded"


async def test_blobs_without_rows_stay_until_their_export_has_ended(
    exports: RunningExports,
) -> None:
    export = await exports.create()
    key = f"{TENANT}/exports/{export}-1"
    await exports.blobs.create(key, b"its task still uploads others")
    age = timedelta(seconds=-60)
    await delete_orphans(exports.pool, exports.blobs, (EXPORT_OWNER,), min_age=age)
    assert exports.blob_keys() == {key}
    async with exports.pool.acquire() as conn, conn.transaction():
        await ending.end(conn, TENANT, export, ExportStatus.CANCELLED)
    await delete_orphans(exports.pool, exports.blobs, (EXPORT_OWNER,), min_age=age)
    assert exports.blob_keys() == set()


async def test_a_cancelled_export_stops_its_task_and_deletes_what_it_wrote(
    exports: RunningExports, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = await exports.create()
    writer, uploads, waits = exports.blobs.writer, itertools.count(1), asyncio.Event()

    def second_waits(key: str) -> AbstractAsyncContextManager[BlobWriter]:
        @asynccontextmanager
        async def waiting() -> AsyncIterator[BlobWriter]:
            async with writer(key) as opened:
                yield opened
                # The other one has been uploaded.
                while not exports.blob_keys():  # noqa: ASYNC110 - a folder tells nobody
                    await asyncio.sleep(0.01)
                waits.set()
                await asyncio.Event().wait()

        return waiting() if next(uploads) == 2 else writer(key)

    monkeypatch.setattr(exports.blobs, "writer", second_waits)
    running = asyncio.create_task(exports.run_all(StandInTask()))
    await waits.wait()
    assert exports.blob_keys() != set()
    async with exports.pool.acquire() as conn, conn.transaction():
        await ending.end(conn, TENANT, export, ExportStatus.CANCELLED)
    async with asyncio.timeout(30):
        await running
    assert exports.blob_keys() == set()
    assert exports.folders() == []


async def test_a_worker_that_stops_gives_its_task_back(exports: RunningExports) -> None:
    export = await exports.create()
    stand_in = StandInTask()
    stand_in.may_end.clear()
    running = asyncio.create_task(exports.run_all(stand_in))
    await stand_in.began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    [task] = await exports.tasks(export)
    assert (task["attempts"], task["lease_token"]) == (0, None)
    await exports.run_all(StandInTask())
    assert (await exports.row(export))["status"] == "succeeded"


async def test_an_export_over_the_quota_of_stored_bytes_fails_and_keeps_nothing(
    exports: RunningExports,
) -> None:
    await exports.pool.execute("UPDATE tenants SET max_stored_bytes = 8000")
    export = await exports.create()
    await exports.run_all(StandInTask())
    row = await exports.row(export)
    assert row["status"] == "failed"
    assert b'"kind": "over_quota"' in row["error"]
    assert exports.blob_keys() == set()
    assert await exports.stored_bytes() == 0


async def test_an_export_fails_once_its_dataset_is_deleted(exports: RunningExports) -> None:
    await exports.datasets.put("a.jsonl", lines(1))
    export = await exports.create()
    await exports.datasets.delete()
    await exports.run_all(StandInTask())
    assert b'"kind": "input_deleted"' in (await exports.row(export))["error"]


async def test_blobs_of_a_remote_store_are_brought_to_the_worker(
    pool: Pool, settings: Settings
) -> None:
    async with open_exports(pool, replace(settings, blob_url="memory:///blobs")) as exports:
        await exports.datasets.put("a.jsonl", lines(1, 2))
        export = await exports.create()
        stand_in = StandInTask()
        await exports.run_all(stand_in)
        [part] = await pool.fetch("SELECT blob_key FROM dataset_parts")
        assert stand_in.read == [await exports.read(part["blob_key"])]
        files = await exports.published(export)
        assert [await exports.read(each["blob_key"]) for each in files] == [b"one", b"two"]
        assert exports.folders() == []


async def test_another_worker_goes_on_where_one_has_died_between_two_stages(
    exports: RunningExports, tmp_path: Path
) -> None:
    export = await exports.create()
    async with exports.pool.acquire() as conn:
        task = await claim_store.claim_task(conn, uuid.uuid7(), lease_seconds=60.0)
        assert task is not None
        async with conn.transaction():
            outcome = Outcome(report=report(tmp_path, {}), files=())
            await outcome_store.record(conn, task, outcome)
    await advance_due(exports.resources, {})
    await exports.run_all(StandInTask())
    row = await exports.row(export)
    assert (row["status"], row["files"], row["rows_out"]) == ("succeeded", 0, 0)


def test_partitions_are_written_in_groups_of_about_a_file() -> None:
    sizes: dict[Partition, int] = {("b",): 60, ("a",): 30, (None,): 10, ("c",): 50, ("d",): 200}
    assert list(grouped(sizes, 100)) == [[("a",), ("b",)], [("c",)], [("d",)], [(None,)]]
