"""Statements that add partitions are few, and none is larger than Athena takes."""

from typing import Final

import pytest

from app.exports.ddl import table_over
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
def test_a_statement_adds_as_many_partitions_as_athena_takes(
    more: str, folders: int, counts: list[int]
) -> None:
    values = [f"{number}{more}" for number in range(folders)]

    sql = table_over(
        TABLE,
        [Folder(path=folder("p", each), values=[each]) for each in values],
        dialect="athena",
        name="e",
        location="s3://lake/e",
    )

    create, *alters = sql.split(";\n")[:-1]
    assert create.startswith("CREATE EXTERNAL TABLE IF NOT EXISTS `e`")
    assert [each.count("PARTITION (") for each in alters] == counts
    assert max(len(each.encode()) for each in alters) <= 262_144


def test_a_view_of_duckdb_reads_the_folders_of_the_partitions_only() -> None:
    # Beside them a download stages its files.
    sql = table_over(TABLE, [], dialect="duckdb", name="e", location="/lake")

    assert "read_parquet('/lake/p=*/**/*.parquet'," in sql
