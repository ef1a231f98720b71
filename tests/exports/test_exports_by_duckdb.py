"""Exports by DuckDB itself: what is published is what the lines say, however it is divided."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import duckdb
import msgspec
import pytest
from msgspec.structs import replace

from app.db import Pool
from app.exports.ddl import table_over
from app.exports.file_store import read_manifest
from app.exports.plan.model import (
    Grain,
    OnBadRow,
    PartitionColumn,
    Plan,
    Progress,
    Report,
    Resources,
    Task,
    TaskLost,
)
from app.exports.plan.process import run_task
from app.exports.retention import delete_errors
from app.exports.table_store import select_table
from app.limits import MIB
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.exports.running_exports import RunningExports, open_exports

PLAN: Final = Plan(
    key=("/pk",),
    latest_by="/at",
    partition_by=(
        PartitionColumn(name="day", grain=Grain.DAY, pointer="/at"),
        PartitionColumn(name="kind", grain=Grain.VALUE, pointer="/type"),
    ),
)


@pytest.fixture
async def exports(pool: Pool, settings: Settings) -> AsyncIterator[RunningExports]:
    small = replace(settings, export_memory_bytes=256 * MIB, export_threads=1)
    async with open_exports(pool, small) as running:
        yield running


def events(rows: int, *, seed: int) -> list[dict[str, Any]]:
    chance = random.Random(seed)  # noqa: S311 - data of a test
    return [
        {
            "pk": f"k{chance.randrange(rows // 2)}",
            "at": f"2021-01-{chance.randrange(1, 4):02}T00:00:0{chance.randrange(10)}Z",
            "type": chance.choice(["click", "view"]),
            "n": number + seed * 1_000_000,
        }
        for number in range(rows)
    ]


def survivors(*files: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Return path and `n` of the rows that count: of equal times the later one."""
    latest: dict[str, dict[str, Any]] = {}
    for event in (event for file in files for event in file):
        held = latest.get(event["pk"])
        if held is None or event["at"] >= held["at"]:
            latest[event["pk"]] = event
    return sorted(
        (f"day={each['at'][8:10]}/kind={each['type']}", each["n"]) for each in latest.values()
    )


def jsonl(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in rows)


async def published(exports: RunningExports, export: UUID) -> list[tuple[str, int]]:
    """Return path and `n` of the rows that are in the files of an export."""
    row = await exports.row(export)
    assert row["status"] == "succeeded", row["error"]
    assert exports.blobs.folder is not None
    found: list[tuple[str, int]] = []
    for file in await exports.published(export):
        path = exports.blobs.folder / file["blob_key"]
        rows = duckdb.execute("SELECT n FROM read_parquet(?)", [str(path)]).fetchall()
        assert len(rows) == file["rows"]
        found += [(file["name"].rpartition("/")[0], n) for (n,) in rows]
    assert len(found) == row["rows_out"]
    return sorted(found)


async def test_one_task_and_several_publish_the_same_rows(exports: RunningExports) -> None:
    files = [events(400, seed=seed) for seed in range(3)]
    for number, rows in enumerate(files):
        await exports.datasets.put(f"{number}.jsonl", jsonl(rows))
    whole, staged = await exports.create(PLAN), await exports.create(PLAN, buckets=3)
    await exports.run_all(run_task)
    expected = survivors(*files)
    assert await published(exports, whole) == expected
    assert await published(exports, staged) == expected
    for row in (await exports.row(whole), await exports.row(staged)):
        counts = (row["rows_in"], row["duplicates"], row["rows_out"], row["rows_failed"])
        assert counts == (1_200, 1_200 - len(expected), len(expected), 0)
        assert row["tasks"] == row["tasks_done"]
        assert row["raw_bytes"] == row["raw_bytes_done"]
    # Nothing is left of the stages before.
    assert exports.blob_keys() == {
        file["blob_key"] for export in (whole, staged) for file in await exports.published(export)
    }
    assert exports.folders() == []


async def test_two_workers_whose_processes_die_publish_each_row_once(
    exports: RunningExports,
) -> None:
    files = [events(200, seed=seed) for seed in range(2)]
    for number, rows in enumerate(files):
        await exports.datasets.put(f"{number}.jsonl", jsonl(rows))
    export = await exports.create(PLAN, buckets=2)
    lost: set[bytes] = set()

    async def run_and_lose(
        task: Task,
        plan: Plan,
        resources: Resources,
        output_folder: Path,
        *,
        on_progress: Callable[[Progress], None],
    ) -> Report:
        """Run a task; its first outcome does not arrive."""
        report = await run_task(task, plan, resources, output_folder, on_progress=on_progress)
        name = msgspec.json.encode(task)
        if name not in lost:
            lost.add(name)
            raise TaskLost("the process has died with all that it wrote")
        return report

    async def work() -> None:
        while (await exports.row(export))["finished_at"] is None:
            await exports.pool.execute("UPDATE export_tasks SET due_at = least(due_at, now())")
            await exports.run_all(run_and_lose)

    async with asyncio.TaskGroup() as workers:
        for _ in range(2):
            workers.create_task(work())
    assert await published(exports, export) == survivors(*files)
    tasks = await exports.tasks(export)
    assert {(each["stage"], each["attempts"]) for each in tasks} == {
        ("map", 2),
        ("bucket", 2),
        ("write", 2),
        ("publish", 1),
    }
    assert exports.blob_keys() == {each["blob_key"] for each in await exports.published(export)}
    assert await exports.stored_bytes() == sum(
        max(each["bytes"], 4096) for each in await exports.published(export)
    )


async def test_an_export_continues_another_and_shares_the_files_that_stay(
    exports: RunningExports,
) -> None:
    first, later = (
        events(400, seed=1),
        [{"pk": f"k{n}", "at": "2021-01-03T10:00:00Z", "type": "view", "n": -n} for n in range(9)],
    )
    # A partition that nothing changes.
    first += [{"pk": f"x{n}", "at": "2021-01-09T00:00:00Z", "type": "view", "n": n} for n in (1, 2)]
    await exports.datasets.put("a.jsonl", jsonl(first))
    base = await exports.create(PLAN)
    await exports.run_all(run_task)
    await exports.datasets.put("b.jsonl", jsonl(later))
    export = await exports.create(PLAN, base=base)
    await exports.run_all(run_task)
    assert await published(exports, export) == survivors(first, later)
    assert await published(exports, base) == survivors(first)
    names = [{each["name"] for each in await exports.published(of)} for of in (base, export)]
    assert {name for name in names[0] & names[1] if name.startswith("day=09")}
    assert (await exports.row(export))["rows_in"] == len(later)


async def test_columns_of_the_folders_are_not_among_those_of_the_files_in_stages_either(
    exports: RunningExports,
) -> None:
    await exports.datasets.put("a.jsonl", b'{"pk":"k"}\n{"domain":"x","n":1}\n')
    levels = (PartitionColumn(name="domain", grain=Grain.VALUE, pointer="/domain"),)
    plan = Plan(partition_by=levels)
    described: list[tuple[object, object]] = []
    for buckets in (None, 2):
        export = await exports.create(plan, buckets=buckets)
        await exports.run_all(run_task)
        async with exports.pool.acquire() as conn:
            manifest = await read_manifest(conn, TENANT, export)
            table = await select_table(conn, TENANT, export)
        assert manifest is not None
        assert [each.name for each in manifest.columns] == ["pk", "n", "domain"]
        assert table is not None
        sql = table_over(table, dialect="hive", name="t", location="s3://b/")
        described.append((manifest.columns, sql.create))
    assert described[0] == described[1]


async def test_an_export_without_rows_succeeds_in_stages_too(exports: RunningExports) -> None:
    await exports.datasets.put("a.jsonl", b"\n")
    whole, staged = await exports.create(PLAN), await exports.create(PLAN, buckets=2)
    await exports.run_all(run_task)
    assert await published(exports, whole) == await published(exports, staged) == []


async def test_bad_rows_are_kept_up_to_their_number(exports: RunningExports) -> None:
    rows = events(20, seed=1)
    bad = b'{"pk":"x","at":"yesterday","type":"click"}\n'
    # Two tasks have fewer than all of them.
    await exports.datasets.put("a.jsonl", jsonl(rows) + bad * 2)
    await exports.datasets.put("b.jsonl", bad)
    letters = replace(PLAN, on_bad_row=OnBadRow.DEAD_LETTER)
    kept = await exports.create(replace(letters, max_bad_rows=3))
    too_many = await exports.create(replace(letters, max_bad_rows=2), buckets=1)
    refused = await exports.create(PLAN)
    await exports.run_all(run_task)
    assert await published(exports, kept) == survivors(rows)
    assert (await exports.row(kept))["rows_failed"] == 3
    errors = await exports.pool.fetch(
        "SELECT path, line, error, record FROM export_errors WHERE export_id = $1 "
        "ORDER BY path, line",
        kept,
    )
    assert [(each["path"], each["line"]) for each in errors] == [
        ("a.jsonl", 21),
        ("a.jsonl", 22),
        ("b.jsonl", 1),
    ]
    assert {each["record"] for each in errors} == {bad.strip()}
    assert set(json.loads(errors[0]["error"])) == {"kind", "message", "pointer"}
    await exports.pool.execute(
        "UPDATE exports SET created_at = created_at - interval '40 days', "
        "finished_at = finished_at - interval '40 days'"
    )
    async with exports.pool.acquire() as conn:
        assert (await delete_errors(conn, 30, 10)).rows >= 3
        assert (await delete_errors(conn, 30, 10)).items == 0
    assert await exports.pool.fetchval("SELECT count(*) FROM export_errors") == 0
    kinds = [json.loads((await exports.row(each))["error"])["kind"] for each in (too_many, refused)]
    assert kinds == ["too_many_bad_rows", "bad_row"]
