"""Statements that add and drop partitions are few, and none is larger than Athena takes."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

import pytest

from app.exports.ddl import statements, table_over
from app.exports.plan.hive import folder
from app.exports.plan.model import Column, Grain, PartitionColumn, Plan
from app.exports.table_store import Folder, Table
from app.schemas.ddl.types import Kind, Scalar

TABLE: Final = Table(
    dataset="events",
    snapshot=4,
    destination=None,
    plan=Plan(partition_by=[PartitionColumn(name="p", grain=Grain.VALUE, pointer="/p")]),
    columns=[Column(name="a", type=Scalar(Kind.STRING), source="inferred")],
)


# A value is in its folder's name, too.
@pytest.mark.parametrize(
    ("more", "folders", "counts"), [("", 201, [100, 100, 1]), ("é" * 2_000, 40, [31, 9])]
)
async def test_a_statement_adds_as_many_partitions_as_athena_takes(
    more: str, folders: int, counts: list[int]
) -> None:
    values = [f"{number}{more}" for number in range(folders)]

    create, *alters = await written(values, [])

    assert create.startswith("CREATE EXTERNAL TABLE IF NOT EXISTS `e`")
    assert [each.count("PARTITION (") for each in alters] == counts
    assert max(len(each.encode()) for each in alters) <= 262_144


async def test_partitions_without_files_are_dropped_after_others_are_added() -> None:
    _, added, *dropped = await written(["a"], [f"gone-{number:02}" for number in range(26)])

    assert added.startswith("\nALTER TABLE `e` ADD IF NOT EXISTS\n  PARTITION (`p` = 'a') LOCATION")
    assert [each.count("PARTITION (") for each in dropped] == [25, 1]
    assert dropped[1] == "\nALTER TABLE `e` DROP IF EXISTS\n  PARTITION (`p` = 'gone-25')"
    assert "'gone-00'),\n  PARTITION (`p` = 'gone-01')" in dropped[0]


@pytest.mark.parametrize("dialect", ["athena", "hive"])
async def test_what_no_statement_can_name_is_counted_before_the_first(dialect: str) -> None:
    first, *more = await written(["it's", "b", "c;"], ["d'"], dialect=dialect)

    comments, _, _ = first.partition("CREATE EXTERNAL TABLE")
    assert comments.splitlines() == [
        "-- Partitions left out, whose values are null or cannot be named safely: 2",
        "-- MSCK REPAIR TABLE `e` finds them by their folders",
        "-- Partitions without files that no statement can name: 1",
        *(["-- MSCK REPAIR TABLE `e` DROP PARTITIONS finds them"] if dialect == "hive" else []),
    ]
    assert [each.count("PARTITION (") for each in more] == [1]


async def written(full: list[str], emptied: list[str], *, dialect: str = "athena") -> list[str]:
    """Return the statements of a table, without what ends them."""

    async def pages(values: list[str]) -> AsyncIterator[Sequence[Folder]]:
        for each in values:
            yield [Folder(path=folder("p", each), values=[each])]

    sql = table_over(TABLE, dialect=dialect, name="e", location="s3://lake/e")
    texts = statements(sql, full=partial(pages, full), emptied=partial(pages, emptied))
    return "".join([each async for each in texts]).split(";\n")[:-1]


def test_a_view_of_duckdb_reads_the_folders_of_the_partitions_only() -> None:
    # Beside them a download stages its files.
    sql = table_over(TABLE, dialect="duckdb", name="e", location="/lake")

    assert "read_parquet('/lake/p=*/**/*.parquet'," in sql.create
