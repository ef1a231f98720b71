"""Measure an export of events, against one window query of DuckDB on the same files."""

import argparse
import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import duckdb
from msgspec import Struct

from app.exports.plan.files import ROW_GROUP_ROWS
from app.exports.plan.model import Grain, PartitionColumn, Plan, Resources, SourceFile, Whole
from app.exports.plan.process import run_task
from app.schemas.ddl.duckdb import literal
from scripts.benchmarks.output import new_line, print_line

_CLIENT: Final = Path(__file__).resolve().parents[2] / "client" / "src"
_MEMORY_BYTES: Final = 1_000_000_000
_THREADS: Final = 2
# The goals of the issue.
_OF_QUERY: Final = 1.2
_OF_MEMORY: Final = 1.2
_PLAN: Final = Plan(
    key=["/event_id"],
    latest_by="/timestamp",
    partition_by=[
        *(
            PartitionColumn(name=grain.value, grain=grain, pointer="/timestamp")
            for grain in (Grain.YEAR, Grain.MONTH, Grain.DAY)
        ),
        PartitionColumn(name="domain", grain=Grain.VALUE, pointer="/domain"),
        PartitionColumn(name="event_type", grain=Grain.VALUE, pointer="/event_type"),
    ],
)
# As one would write it; sorting and file order of equal times are left out. Bloom filters of the
# key need dictionaries as large as a row group.
_QUERY: Final = """
COPY (
    SELECT * EXCLUDE (moment, place), year(moment) AS year, month(moment) AS month,
        day(moment) AS day
    FROM (
        SELECT *, CAST("timestamp" AS TIMESTAMP) AS moment,
            row_number() OVER (PARTITION BY event_id ORDER BY "timestamp" DESC) AS place
        FROM read_json({files}, format = 'newline_delimited', columns = {{event_id: 'VARCHAR',
            "timestamp": 'VARCHAR', domain: 'VARCHAR', event_type: 'VARCHAR', data: 'JSON'}})
    )
    WHERE place = 1
) TO {folder} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1,
    DICTIONARY_SIZE_LIMIT {rows}, STRING_DICTIONARY_PAGE_SIZE_LIMIT 67108864,
    PARTITION_BY (year, month, day, domain, event_type))
"""


class _Run(Struct, frozen=True):
    elapsed_s: float
    peak_bytes: int


def main(arguments: Sequence[str]) -> int:
    """Measure both by turns, compare rows with the truth, and print; 1 if a partition differs."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench exports", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--events", type=float, default=5e6)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--sample", type=Path, help="a sample that is there, or is kept there")
    parser.add_argument("--alone", action="store_true", help="without the query")
    parser.add_argument("--quick", action="store_true", help="one run of tiny numbers")
    chosen = parser.parse_args(arguments)
    events = 2_000 if chosen.quick else int(chosen.events)
    ours: list[_Run] = []
    theirs: list[_Run] = []
    wrong = 0
    with TemporaryDirectory() as temporary:
        sample = chosen.sample or Path(temporary) / "sample"
        if not sample.exists():
            _make(sample, events)
        for turn in range(1 if chosen.quick else chosen.runs):
            if not chosen.alone:
                theirs.append(_run_query(sample, Path(temporary) / f"query-{turn}"))
            folder = Path(temporary) / f"plan-{turn}"
            ours.append(asyncio.run(_run_plan(sample, folder)))
            wrong += _differences(sample, folder / "out")
        size = sum(file.stat().st_size for file in _files(sample))
    _print(ours, theirs, input_bytes=size, wrong=wrong)
    return 1 if wrong else 0


def _make(sample: Path, events: int) -> None:
    """Make the events by the client's command, in Faker's words."""
    choices = ["--count", str(events), "--duplicates", "0.05", "--late", "0.01", "--days", "30"]
    command = [sys.executable, "-m", "crivo", "sample", "events", "--seed", "1", *choices]
    environment = {**os.environ, "PYTHONPATH": str(_CLIENT)}
    subprocess.run([*command, "--out", str(sample)], env=environment, check=True)  # noqa: S603 - fixed argv


def _files(sample: Path) -> list[Path]:
    return sorted((sample / "events").iterdir())


async def _run_plan(sample: Path, folder: Path) -> _Run:
    for name in ("spill", "out"):
        (folder / name).mkdir(parents=True)
    sources = [SourceFile(local=str(file), path=file.name) for file in _files(sample)]
    resources = Resources(memory_bytes=_MEMORY_BYTES, threads=_THREADS, spill=str(folder / "spill"))
    started = time.monotonic()
    report = await run_task(Whole(sources=sources), _PLAN, resources, folder / "out")
    elapsed_s = time.monotonic() - started
    shutil.rmtree(folder / "spill")
    return _Run(elapsed_s, report.peak_memory_bytes)


def _run_query(sample: Path, folder: Path) -> _Run:
    """Run the query in a process of its own, which has the same memory."""
    (folder / "spill").mkdir(parents=True)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(_query, sample, folder).result()
    shutil.rmtree(folder)
    return found


def _query(sample: Path, folder: Path) -> _Run:
    files = f"[{', '.join(literal(str(file)) for file in _files(sample))}]"
    query = _QUERY.format(files=files, folder=literal(str(folder / "out")), rows=ROW_GROUP_ROWS)
    started = time.monotonic()
    with duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{_MEMORY_BYTES}B'; SET threads = {_THREADS}")
        connection.execute(f"SET temp_directory = {literal(str(folder / 'spill'))}")
        connection.execute("SET preserve_insertion_order = false; SET enable_progress_bar = false")
        connection.execute(query)
    elapsed_s = time.monotonic() - started
    return _Run(elapsed_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def _differences(sample: Path, output: Path) -> int:
    """Count the partitions whose rows are not those of the truth."""
    truth = json.loads((sample / "truth.json").read_bytes())
    names = ("year", "month", "day", "domain", "event_type")
    want = {tuple(map(str, map(each.get, names))): each for each in truth["partitions"]}
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"SELECT {', '.join(names)}, count(*), sum(md5_number_lower(concat_ws('|', event_id,"  # noqa: S608 - constants
            ' "timestamp", domain, event_type, data))) FROM read_parquet(?,'
            " hive_partitioning = true, hive_types_autocast = false) GROUP BY ALL",
            [f"{output}/**/*.parquet"],
        ).fetchall()
    found = {
        (*(str(int(part)) for part in row[:3]), *row[3:5]): (row[5], str(row[6])) for row in rows
    }
    expected = {where: (each["rows"], each["digest"]) for where, each in want.items()}
    return sum(found.get(where) != expected.get(where) for where in found.keys() | expected.keys())


def _print(ours: Sequence[_Run], theirs: Sequence[_Run], *, input_bytes: int, wrong: int) -> None:
    common = {
        "cpus": os.cpu_count(),
        "memory_limit": _MEMORY_BYTES,
        "input_bytes": input_bytes,
        "wrong_partitions": wrong,
    }
    print_line(
        new_line(
            "exports-elapsed",
            unit="s",
            runs=[run.elapsed_s for run in ours],
            baseline=("one window query of DuckDB", [run.elapsed_s for run in theirs]),
            goal=_OF_QUERY if theirs else None,
            goal_of="ratio",
        ),
        **common,
    )
    print_line(
        new_line(
            "exports-memory",
            unit="bytes",
            runs=[run.peak_bytes for run in ours],
            baseline=("one window query of DuckDB", [run.peak_bytes for run in theirs]),
            goal=_OF_MEMORY * _MEMORY_BYTES,
        ),
        **common,
    )
