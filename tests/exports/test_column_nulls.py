"""An export says for each column how many of its rows have no value, however it was made."""

from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID

import duckdb
import msgspec
import pytest
from msgspec.structs import replace

from app.db import Pool
from app.exports.plan.model import ExportColumn, Grain, OnBadRow, PartitionColumn, Plan
from app.exports.plan.process import run_task
from app.exports.store import select_export
from app.limits import MIB
from app.schemas.ddl.duckdb import quoted
from app.schemas.ddl.types import Field, Kind, ListOf, Scalar, StructOf
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.exports.running_exports import RunningExports, open_exports

STRUCT: Final = StructOf(
    (Field("a", Scalar(Kind.BIGINT), "/a"), Field("b", Scalar(Kind.BIGINT), "/b"))
)
PLAN: Final = Plan(
    key=("/pk",),
    partition_by=(
        PartitionColumn(name="p", grain=Grain.VALUE, pointer="/p"),
        PartitionColumn(name="q", grain=Grain.VALUE, pointer="/q"),
        PartitionColumn(name="nowhere", grain=Grain.VALUE, pointer="/nowhere"),
    ),
    columns=(
        ExportColumn(name="pk", pointer="/pk"),
        ExportColumn(name="never", pointer="/nowhere/x", type=Scalar(Kind.DOUBLE)),
        ExportColumn(name='a "b".c', pointer="/n", type=Scalar(Kind.BIGINT)),
        ExportColumn(name="s", pointer="/s", type=STRUCT),
        ExportColumn(name="l", pointer="/l", type=ListOf(Scalar(Kind.BIGINT))),
    ),
)


@pytest.fixture
async def exports(pool: Pool, settings: Settings) -> AsyncIterator[RunningExports]:
    small = replace(settings, export_memory_bytes=256 * MIB, export_threads=2)
    async with open_exports(pool, small) as running:
        yield running


def lines(first: int, last: int) -> bytes:
    records = [
        {"pk": f"k{n}", "p": n % 3 if n < 90 else 9, "q": "" if n % 3 else "some"}
        | ({"n": n} if n % 2 else {})
        | ({"s": {"a": None} if n % 4 else None} if n % 5 else {})
        | ({"l": []} if n % 7 else {})
        for n in range(first, last)
    ]
    return b"\n".join(map(msgspec.json.encode, records)) + b"\n"


async def nulls(exports: RunningExports, export: UUID) -> dict[str, int]:
    """Return what an export says, once it is what its files have."""
    async with exports.pool.acquire() as conn:
        shown = await select_export(conn, TENANT, export)
    assert shown is not None
    assert shown.status == "succeeded", await exports.row(export)
    assert exports.blobs.folder is not None
    files = [
        str(exports.blobs.folder / each["blob_key"]) for each in await exports.published(export)
    ]
    names = [each.name for each in PLAN.columns]
    counts = ", ".join(f"count(*) - count({quoted(each)})" for each in names)
    found = duckdb.execute(
        f"SELECT {counts} FROM read_parquet(?, hive_partitioning = false)",  # noqa: S608 - of this test
        [files],
    ).fetchone()
    columns = shown.columns
    assert isinstance(columns, list)
    told = {each.name: each.nulls for each in columns if each.source != "partition"}
    assert told == dict(zip(names, found or (), strict=True))
    assert shown.rows_out is not None
    assert told["never"] == shown.rows_out
    levels = {each.name: each.nulls for each in columns if each.source == "partition"}
    empty = await exports.pool.fetchval(
        "SELECT sum(rows) FROM export_files WHERE export_id = $1 AND published AND name LIKE $2",
        export,
        "%/q=__HIVE_DEFAULT_PARTITION__/%",
    )
    assert levels == {"p": 0, "q": empty, "nowhere": shown.rows_out}
    assert 0 < empty < shown.rows_out
    assert isinstance(shown.receipt, msgspec.Struct)
    assert shown.receipt.duckdb_versions == [duckdb.__version__]
    return told


async def test_one_task_several_and_a_continued_export_count_the_same_nulls(
    exports: RunningExports,
) -> None:
    await exports.datasets.put("1.jsonl", lines(0, 100))
    base = await exports.create(PLAN)
    await exports.run_all(run_task)
    before = await nulls(exports, base)
    # Of the partitions, one changes, and one stays.
    newer = b'{"pk":"k95","p":9,"s":{},"n":1}\n{"pk":"k96","p":8,"l":[1]}\n'
    await exports.datasets.put("2.jsonl", newer)
    continued = await exports.create(PLAN, base=base)
    whole, staged = await exports.create(PLAN), await exports.create(PLAN, buckets=3)
    await exports.run_all(run_task)
    after = await nulls(exports, whole)
    assert after != before
    assert await nulls(exports, staged) == await nulls(exports, continued) == after


async def test_an_export_without_rows_may_be_continued_with_other_columns(
    exports: RunningExports,
) -> None:
    plan = Plan(key=("/id",), on_bad_row=OnBadRow.DEAD_LETTER, max_bad_rows=1)
    await exports.datasets.put("1.jsonl", b'{"x":1,"y":2,"z":3}\n')
    base = await exports.create(plan)
    await exports.run_all(run_task)
    await exports.datasets.put("2.jsonl", b'{"id":1}\n')
    export = await exports.create(plan, base=base)
    await exports.run_all(run_task)
    async with exports.pool.acquire() as conn:
        shown = await select_export(conn, TENANT, export)
    assert shown is not None
    assert isinstance(shown.columns, list)
    assert [(each.name, each.nulls) for each in shown.columns] == [("id", 0)]
