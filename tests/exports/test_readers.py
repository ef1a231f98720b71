"""Programs that people read Parquet with agree on the columns and rows of an export."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import duckdb
import pandas as pd  # type: ignore[import-untyped] # has no types
import polars as pl
import pyarrow.dataset as ds  # type: ignore[import-untyped] # has no types
import pytest
from msgspec.structs import replace

from app.db import Pool
from app.exports.plan.model import JSON_TEXT, ExportColumn, Grain, PartitionColumn, Plan
from app.exports.plan.process import run_task
from app.limits import MIB
from app.schemas.ddl.types import Field, Kind, ListOf, MapOf, Scalar, StructOf, Type
from app.settings import Settings
from tests.exports.running_exports import RunningExports, open_exports

_TYPES: Final[dict[str, Type]] = {
    "pk": Scalar(Kind.STRING),
    "at": Scalar(Kind.TIMESTAMP),
    "on": Scalar(Kind.DATE),
    "big": Scalar(Kind.BIGINT),
    "ratio": Scalar(Kind.DOUBLE),
    "part": Scalar(Kind.FLOAT),
    "few": Scalar(Kind.SMALLINT),
    "price": Scalar(Kind.DECIMAL, (10, 2)),
    "total": Scalar(Kind.DECIMAL, (38, 9)),
    "code": Scalar(Kind.UUID),
    "ok": Scalar(Kind.BOOLEAN),
    "data": JSON_TEXT,
    "tags": ListOf(Scalar(Kind.STRING)),
    "user": StructOf(
        (
            Field("name", Scalar(Kind.STRING), "/user/name"),
            Field("seen", ListOf(Scalar(Kind.TIMESTAMP)), "/user/seen"),
        )
    ),
    "counts": MapOf(Scalar(Kind.BIGINT)),
}
PLAN: Final = Plan(
    key=("/pk",),
    latest_by="/at",
    partition_by=(
        PartitionColumn(name="year", grain=Grain.YEAR, pointer="/at"),
        PartitionColumn(name="month", grain=Grain.MONTH, pointer="/at"),
        PartitionColumn(name="kind", grain=Grain.VALUE, pointer="/kind"),
    ),
    columns=[
        ExportColumn(name=name, pointer=f"/{name}", type=of, source="schema")
        for name, of in _TYPES.items()
    ],
)
# In the order of keys; `kind` has what Hive escapes, and nothing.
EVENTS: Final[list[dict[str, Any]]] = [
    {
        "pk": f"k{n:03}",
        # Also of years in which other calendars count other days.
        "at": f"{['1969', '1970', '1500'][n % 3]}-{n % 12 + 1:02}-28T23:59:59.{n:06}Z",
        "on": f"{['2020', '0004'][n % 2]}-02-{n % 29 + 1:02}",
        "big": n * 2**53,
        "ratio": n / 7,
        "part": n / 4,
        "few": n - 60,
        "price": n - 50.25,
        "total": n / 8,
        "code": f"00000000-0000-4000-8000-{n:012}",
        "ok": None if n % 5 == 0 else n % 2 == 0,
        "data": {"id": n, "of": "é\u2028"},
        "tags": None if n % 4 == 0 else [str(n), "x"],
        "user": {"name": None if n % 6 == 0 else f"n{n}", "seen": ["1970-01-01T00:00:01Z"]},
        "counts": {"é": n, "b c": n % 7},
        "kind": ["a/b=c", "ü %", None, "plain"][n % 4],
    }
    for n in range(120)
]
HIVE_NULL: Final = "__HIVE_DEFAULT_PARTITION__"


def expected() -> list[dict[str, Any]]:
    return [
        event
        | {
            "at": datetime.fromisoformat(event["at"]),
            "on": date.fromisoformat(event["on"]),
            "price": Decimal(f"{event['price']:.2f}"),
            "total": Decimal(f"{event['total']:.9f}"),
            "user": event["user"] | {"seen": [datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)]},
            "data": json.dumps(event["data"], ensure_ascii=False, separators=(",", ":")),
            "year": int(event["at"][:4]),
            "month": int(event["at"][5:7]),
        }
        for event in EVENTS
    ]


@pytest.fixture
async def lake(pool: Pool, settings: Settings, tmp_path: Path) -> AsyncIterator[Path]:
    (tmp_path / "lake").mkdir()
    small = replace(
        settings,
        export_memory_bytes=256 * MIB,
        export_threads=1,
        export_destinations=f"file://{tmp_path}/lake/{{tenant}}",
    )
    async with open_exports(pool, small) as exports:
        await _export(exports, f"file://{tmp_path}/lake/default/events")
        yield tmp_path / "lake" / "default" / "events"


async def _export(exports: RunningExports, url: str) -> None:
    lines = [json.dumps(each, ensure_ascii=False, separators=(",", ":")) for each in EVENTS]
    await exports.datasets.put("a.jsonl", "\n".join(lines).encode() + b"\n")
    export = await exports.create(PLAN, destination=url)
    await exports.run_all(run_task)
    row = await exports.row(export)
    assert row["status"] == "succeeded", row["error"]


def normal(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows in the order of keys, with moments in UTC and no partition as None."""

    def value(name: str, of: Any) -> Any:  # noqa: ANN401 - of any type
        if name == "kind" and of == HIVE_NULL:
            return None
        return int(of) if name in {"year", "month"} else _normal(of)

    found = [{name: value(name, of) for name, of in row.items()} for row in rows]
    return sorted(found, key=lambda row: str(row["pk"]))


def _normal(of: Any) -> Any:  # noqa: ANN401 - of any type
    match of:
        case datetime():
            return (of if of.tzinfo else of.replace(tzinfo=UTC)).astimezone(UTC)
        case {"name": _}:
            return {name: _normal(each) for name, each in of.items()}
        # Maps of libraries that have none.
        case [tuple(), *_]:
            return dict(of)
        case [{"key": _, "value": _}, *_]:
            return {each["key"]: each["value"] for each in of}
        case [*_]:
            return [_normal(each) for each in of]
        case _:
            return of


def by_duckdb(lake: Path) -> list[dict[str, Any]]:
    query = "SELECT * FROM read_parquet(?, hive_partitioning = true)"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.sql(query, params=[f"{lake}/**/*.parquet"]).to_arrow_table()
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def by_pyarrow(lake: Path) -> list[dict[str, Any]]:
    # Folders and files that begin with _ are no data.
    rows: list[dict[str, Any]] = (
        ds.dataset(lake, format="parquet", partitioning="hive").to_table().to_pylist()
    )
    return rows


def by_pandas(lake: Path) -> list[dict[str, Any]]:
    frame = pd.read_parquet(lake, dtype_backend="pyarrow")
    columns = {
        name: [None if value is pd.NA else value for value in frame[name].tolist()]
        for name in frame.columns
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def by_polars(lake: Path) -> list[dict[str, Any]]:
    return pl.read_parquet(f"{lake}/**/*.parquet", hive_partitioning=True).to_dicts()


SPARK: Final = """
import pickle, sys
from pyspark.sql import SparkSession
spark = (SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
         .config("spark.sql.session.timeZone", "UTC")
         # Spark 3 refuses moments before 1900 without it.
         .config("spark.sql.parquet.datetimeRebaseModeInRead", "CORRECTED").getOrCreate())
frame = spark.read.parquet(sys.argv[1])
with open(sys.argv[2], "wb") as file:
    pickle.dump([row.asDict(recursive=True) for row in frame.collect()], file)
"""


def by_spark(lake: Path) -> list[dict[str, Any]]:
    # Python converts moments to the time zone of the process.
    environ = {**os.environ, "TZ": "UTC"}
    found = lake.parent / "rows"
    subprocess.run([sys.executable, "-c", SPARK, str(lake), str(found)], check=True, env=environ)
    rows: list[dict[str, Any]] = pickle.loads(found.read_bytes())  # noqa: S301 - written above
    return rows


# It and Java take more room than all other packages of the tests together.
without_spark = pytest.mark.skipif(find_spec("pyspark") is None, reason="pyspark is not installed")


@pytest.mark.parametrize(
    "read",
    [by_duckdb, by_pyarrow, by_pandas, by_polars, pytest.param(by_spark, marks=without_spark)],
)
async def test_readers_agree_on_columns_and_rows(lake: Path, read: Any) -> None:  # noqa: ANN401
    rows = read(lake)
    assert set(rows[0]) == set(expected()[0])
    assert normal(rows) == expected()
