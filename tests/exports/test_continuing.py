"""An export that continues another has the rows of one of everything, and copies what it must."""

import itertools
import json
import os
import re
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final
from uuid import UUID

import duckdb
import pytest
import sqlglot
from msgspec.structs import replace
from sqlglot import exp

from app.db import Pool
from app.exports import acceptance_store, table_store
from app.exports.ddl import statements, table_over
from app.exports.output import pages_of
from app.exports.plan.model import Grain, PartitionColumn, Plan
from app.exports.plan.process import run_task
from app.limits import MIB
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.exports.running_exports import RunningExports, open_exports

PLAN: Final = Plan(
    key=("/pk",),
    latest_by="/at",
    partition_by=(
        PartitionColumn(name="day", grain=Grain.DAY, pointer="/at"),
        PartitionColumn(name="type", grain=Grain.VALUE, pointer="/type"),
    ),
)
# Key, time, type and version.
Event = tuple[str, str, str, int]
Rows = dict[str, list[tuple[str, int]]]
FIRST: Final[Sequence[Event]] = [
    ("kept", "2021-01-01T00:00:01Z", "a/b", 1),
    ("late", "2021-01-02T00:00:05Z", "view", 2),
    ("equal", "2021-01-02T00:00:05Z", "view", 3),
    ("newer", "2021-01-02T00:00:05Z", "view", 4),
    ("moves", "2021-01-03T00:00:01Z", "view", 5),
    ("alone", "2021-01-04T00:00:01Z", "view", 6),
]
SECOND: Final[Sequence[Event]] = [
    ("late", "2021-01-02T00:00:04Z", "view", 10),
    ("equal", "2021-01-02T00:00:05Z", "view", 11),
    ("newer", "2021-01-02T00:00:06Z", "view", 12),
    ("moves", "2021-01-02T23:00:00Z", "view", 13),
    ("alone", "2021-01-05T00:00:01Z", "view", 14),
]
THIRD: Final[Sequence[Event]] = [
    ("moves", "2021-01-03T00:00:02Z", "view", 20),
    ("late", "2021-01-03T00:00:00Z", "click", 21),
]
AFTER_SECOND: Final[Rows] = {
    "day=01/type=a%2Fb": [("kept", 1)],
    # What comes late and is older counts nothing, in a partition of its own, too.
    "day=02/type=view": [("equal", 11), ("late", 2), ("newer", 12)],
    "day=03/type=view": [("moves", 5)],
    "day=05/type=view": [("alone", 14)],
}
AFTER_THIRD: Final[Rows] = {
    "day=01/type=a%2Fb": [("kept", 1)],
    "day=02/type=view": [("equal", 11), ("newer", 12)],
    "day=03/type=click": [("late", 21)],
    "day=03/type=view": [("moves", 20)],
    "day=05/type=view": [("alone", 14)],
}


@pytest.fixture
async def exports(pool: Pool, settings: Settings, tmp_path: Path) -> AsyncIterator[RunningExports]:
    (tmp_path / "lake").mkdir()
    small = replace(
        settings,
        export_memory_bytes=256 * MIB,
        export_threads=1,
        export_destinations=f"file://{tmp_path}/lake/{{tenant}}",
    )
    async with open_exports(pool, small) as running:
        yield running


@pytest.fixture(params=["here", "there"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    return None if request.param == "here" else f"file://{tmp_path}/lake/default/events"


async def put(exports: RunningExports, name: str, events: Sequence[Event]) -> None:
    lines = [
        json.dumps({"pk": key, "at": at, "type": kind, "n": version})
        for key, at, kind, version in events
    ]
    await exports.datasets.put(name, "\n".join(lines).encode() + b"\n")


async def rows_of(exports: RunningExports, export: UUID) -> Rows:
    row = await exports.row(export)
    assert row["status"] == "succeeded", row["error"]
    assert exports.blobs.folder is not None
    found: Rows = {}
    for file in await exports.published(export):
        path = exports.blobs.folder / (file["blob_key"] or "")
        if row["destination"] is not None:
            path = Path(row["destination"].removeprefix("file://")) / file["name"]
        query = "SELECT pk, n FROM read_parquet(?, hive_partitioning = false) ORDER BY pk"
        folder = file["name"].rpartition("/")[0]
        found.setdefault(folder, []).extend(duckdb.execute(query, [str(path)]).fetchall())
    assert row["rows_out"] == sum(len(each) for each in found.values())
    return found


async def continued(
    exports: RunningExports, base: UUID, destination: str | None, name: str, events: Sequence[Event]
) -> UUID:
    await put(exports, name, events)
    export = await exports.create(PLAN, base=base, destination=destination)
    await exports.run_all(run_task)
    return export


async def first_of(exports: RunningExports, destination: str | None) -> UUID:
    await put(exports, "1.jsonl", FIRST)
    export = await exports.create(PLAN, destination=destination)
    await exports.run_all(run_task)
    return export


async def test_exports_that_continue_each_other_have_the_rows_of_one_of_everything(
    exports: RunningExports, destination: str | None
) -> None:
    first = await first_of(exports, destination)
    names = {each["name"] for each in await exports.published(first)}
    second = await continued(exports, first, destination, "2.jsonl", SECOND)
    assert await rows_of(exports, second) == AFTER_SECOND
    files = {each["name"]: each["stage"] for each in await exports.published(second)}
    # The day that nothing has come for is that of the first export.
    assert {each for each, stage in files.items() if stage == "base"} == {
        each for each in names if each.startswith("day=01/")
    }
    third = await continued(exports, second, destination, "3.jsonl", THIRD)
    assert await rows_of(exports, third) == AFTER_THIRD
    everything = await exports.create(PLAN)
    await exports.run_all(run_task)
    assert await rows_of(exports, everything) == AFTER_THIRD
    if destination is not None:
        root = Path(destination.removeprefix("file://"))
        found = {str(each.relative_to(root)) for each in root.rglob("*.parquet")}
        assert found == {each["name"] for each in await exports.published(third)}
        assert not (root / "day=04").exists()
    else:
        # Those of the exports before are theirs as long as they are kept.
        assert await rows_of(exports, second) == AFTER_SECOND


async def test_a_file_that_is_sent_again_as_it_was_counts_as_the_last(
    exports: RunningExports,
) -> None:
    await put(exports, "1.jsonl", [("tie", "2021-01-01T00:00:01Z", "view", 1)])
    await put(exports, "2.jsonl", [("tie", "2021-01-01T00:00:01Z", "view", 2)])
    first = await exports.create(PLAN)
    await exports.run_all(run_task)
    assert await rows_of(exports, first) == {"day=01/type=view": [("tie", 2)]}

    again = await continued(
        exports, first, None, "1.jsonl", [("tie", "2021-01-01T00:00:01Z", "view", 1)]
    )

    everything = await exports.create(PLAN)
    await exports.run_all(run_task)
    assert await rows_of(exports, again) == {"day=01/type=view": [("tie", 1)]}
    assert await rows_of(exports, everything) == await rows_of(exports, again)


async def test_a_catalogue_that_has_missed_exports_has_the_partitions_of_the_last_one(
    exports: RunningExports, tmp_path: Path
) -> None:
    url = f"file://{tmp_path}/lake/default/events"
    batches: Sequence[Sequence[tuple[str, str, str]]] = [
        [("a", "01", "view"), ("b", "02", "view"), ("c", "03", "it's"), ("d", "04", "view")],
        # Day 1 ends empty, and day 3, which no statement can name.
        [("a", "02", "view"), ("c", "06", "view")],
        # Day 1 has rows again.
        [("e", "01", "view"), ("d", "06", "view")],
        [("e", "05", "view")],
    ]
    base: UUID | None = None
    scripts: list[str] = []
    for number, batch in enumerate(batches):
        events = [(key, f"2021-01-{day}T00:00:0{number}Z", kind, 0) for key, day, kind in batch]
        await put(exports, f"{number}.jsonl", events)
        base = await exports.create(PLAN, base=base, destination=url)
        await exports.run_all(run_task)
        folders = {each["name"].rpartition("/")[0] for each in await exports.published(base)}
        scripts.append(await script_of(exports, base, "athena" if number % 2 else "hive"))
        for missed in itertools.product([True, False], repeat=number):
            partitions: set[str] = set()
            for script in [*itertools.compress(scripts, missed), scripts[-1]]:
                apply(script, partitions)
            assert {f"day={int(each[4:6])}{each[6:]}" for each in folders if "%" not in each} == (
                partitions
            )
        assert ("that no statement can name: 1\n" in scripts[-1]) is (number > 0)


async def script_of(exports: RunningExports, export: UUID, dialect: str) -> str:
    async with exports.pool.acquire() as conn:
        table = await table_store.select_table(conn, TENANT, export)
    assert table is not None
    pages = partial(pages_of, exports.resources, TENANT, export)
    texts = statements(
        table_over(table, dialect=dialect, name="e", location="s3://lake/e"),
        full=partial(pages, table_store.select_folders),
        emptied=partial(pages, table_store.select_emptied_folders),
    )
    return "".join([each async for each in texts])


def apply(script: str, partitions: set[str]) -> None:
    """Do to a table's partitions, by their names, what a script does."""
    for statement in script.split(";\n"):
        added = re.findall(r"(PARTITION \(.*\)) LOCATION", statement)
        partitions.update(name for each in added for name in named(f"ALTER TABLE e DROP {each}"))
        if "DROP IF EXISTS" in statement:
            partitions.difference_update(named(statement))


def named(statement: str) -> list[str]:
    """Name the partitions that a statement drops."""
    [parsed] = sqlglot.parse(statement, dialect="hive")
    assert isinstance(parsed, exp.Alter)
    return [
        "/".join(f"{each.this.name}={each.expression.name}" for each in partition.expressions)
        for dropped in parsed.args["actions"]
        for partition in dropped.expressions
    ]


async def test_lines_without_a_key_keep_the_order_of_the_files(exports: RunningExports) -> None:
    # Each row has a file of its own, and more than nine of them: `-10` is before `-2` by name.
    plan, base, lines = Plan(file_bytes=1), None, list[int]()
    for name, count in (("1.jsonl", 12), ("2.jsonl", 1), ("3.jsonl", 1)):
        new = range(len(lines), len(lines) + count)
        await exports.datasets.put(
            name, b"".join(b'{"n":%d,"text":"of some bytes"}\n' % n for n in new)
        )
        lines += new
        base = await exports.create(plan, base=base)
        await exports.run_all(run_task)
    assert base is not None
    assert exports.blobs.folder is not None
    files = await exports.published(base)
    assert len(files) == len(lines)
    files.sort(key=lambda file: int(file["name"].rpartition("-")[2].removesuffix(".parquet")))
    paths = [str(exports.blobs.folder / file["blob_key"]) for file in files]
    assert duckdb.execute("SELECT n FROM read_parquet(?)", [paths]).fetchall() == [
        (n,) for n in lines
    ]


async def test_what_another_export_has_replaced_cannot_be_continued(
    exports: RunningExports, tmp_path: Path
) -> None:
    url = f"file://{tmp_path}/lake/default/events"
    first = await first_of(exports, url)
    await put(exports, "2.jsonl", SECOND)
    # It is accepted before the one that it continues is replaced.
    row = await exports.row(first)
    replacing = await exports.create(PLAN, destination=url)
    late = await exports.create(PLAN, base=first, destination=url)
    await exports.pool.execute(
        "UPDATE export_tasks SET due_at = 'infinity' WHERE export_id = $1", late
    )
    await exports.run_all(run_task)
    assert await rows_of(exports, replacing) == AFTER_SECOND
    async with exports.pool.acquire() as conn:
        base = await acceptance_store.select_base(
            conn, TENANT, row["dataset_id"], row["snapshot"], row["plan_sha256"]
        )
    assert base is not None
    assert not base.has_files
    await exports.pool.execute("UPDATE export_tasks SET due_at = now() WHERE done_token IS NULL")
    await exports.run_all(run_task)
    error = json.loads((await exports.row(late))["error"])
    assert error["kind"] == "input_deleted"
    assert await rows_of(exports, replacing) == AFTER_SECOND


@pytest.mark.parametrize("how", ["link", "pipe", "other bytes", "more bytes"])
async def test_a_file_that_others_have_replaced_is_not_continued(
    exports: RunningExports, tmp_path: Path, how: str
) -> None:
    url = f"file://{tmp_path}/lake/default/events"
    first = await first_of(exports, url)
    names = [each["name"] for each in await exports.published(first)]
    # That of a day which gets a newer line.
    [name] = [each for each in names if each.startswith("day=04/")]
    file = tmp_path / "lake" / "default" / "events" / name
    content = file.read_bytes()
    file.unlink()
    match how:
        case "link":
            (tmp_path / "theirs").write_bytes(content)
            file.symlink_to(tmp_path / "theirs")
        case "pipe":
            os.mkfifo(file)
        case "other bytes":
            file.write_bytes(content[:-1] + b"x")
        case _:
            file.write_bytes(content)
            os.truncate(file, 1024 * MIB)
    late = await continued(exports, first, url, "2.jsonl", SECOND)
    error = json.loads((await exports.row(late))["error"])
    assert error["kind"] == "input_deleted"
    assert name in error["message"]
