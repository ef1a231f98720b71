"""Measure the storage of datasets beside PostgreSQL; with --size, kill what receives files."""

import argparse
import asyncio
import os
import random
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
import uvloop
from msgspec import Struct

from app.blobs import open_blobs
from app.embedded.binaries import choose_postgres, find_postgres, search_path
from app.embedded.servers import embedded_servers
from app.limits import KIB, MIB, PART_BYTES
from app.settings import Settings
from scripts.benchmarks import dataset_kills
from scripts.benchmarks.dataset_files import parse_size
from scripts.benchmarks.dataset_rows import Rows
from scripts.benchmarks.dataset_store import StoredDataset
from scripts.benchmarks.output import Line, new_line, percentile, print_line

_CHUNK_BYTES: Final = 64 * KIB
_SNAPSHOTS: Final = 35
_PARTS: Final = 500
# Between lookups beside an ingest: one that never pauses leaves it nothing.
_PAUSE_SECONDS: Final = 0.001
_IDLE_SECONDS: Final = 5.0
_MICROSECONDS: Final = 1_000_000
_CREATE: Final = "CREATE TABLE rows (pk text PRIMARY KEY, body text NOT NULL)"
_FIND: Final = "SELECT body FROM rows WHERE pk = $1"

Find = Callable[[int], Awaitable[bytes]]
Clock = Callable[[], float]


class _Plan(Struct, frozen=True, kw_only=True):
    """The sizes of a measurement."""

    folder: Path
    database_url: str
    psql: Path
    runs: int
    records: int
    lookups: int
    keys_per_snapshot: int


def main(arguments: Sequence[str]) -> int:
    """Measure in temporary folders and print."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench datasets", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--runs", type=int, default=3, help="of which the median is taken")
    parser.add_argument("--records", type=int, default=4_000_000, help="of an ingest")
    parser.add_argument("--only", choices=[*_MEASURES], help="measure this alone")
    parser.add_argument("--quick", action="store_true", help="one run of tiny numbers")
    kills = parser.add_argument_group("the whole system, killed while it receives files")
    kills.add_argument("--size", type=parse_size, help="of all 40 files, such as 4.5GB")
    kills.add_argument("--lookups", type=int, default=200_000, help="records to find; all, or some")
    kills.add_argument("--record-bytes", type=int, default=0, help="of each, if that is more")
    options = parser.parse_args(arguments)
    if options.size is not None:
        return dataset_kills.measure(
            size=options.size, lookups=options.lookups, record_bytes=options.record_bytes
        )
    quick: bool = options.quick
    with tempfile.TemporaryDirectory(prefix="crivo-bench-") as folder:
        path = Path(folder)
        with embedded_servers(path / "servers") as servers:
            programs = choose_postgres(find_postgres(search_path()), None)
            plan = _Plan(
                folder=path,
                database_url=servers.database_url,
                psql=programs.folder / "psql",
                runs=1 if quick else options.runs,
                records=20_000 if quick else options.records,
                lookups=200 if quick else 10_000,
                keys_per_snapshot=1_000 if quick else 20_000,
            )
            for name in [options.only] if options.only else _MEASURES:
                for line in uvloop.run(_MEASURES[name](plan)):
                    print_line(line, cpus=os.cpu_count(), records=plan.records, quick=quick)
    return 0


async def _ingest(plan: _Plan) -> list[Line]:
    r"""Store rows with their index, and `\copy` the same into a table with a primary key."""
    lines = []
    for order in ("sorted", "shuffled"):
        rows = Rows(count=plan.records, shuffled=order == "shuffled")
        files = plan.folder / "rows.jsonl", plan.folder / "rows.tsv"
        raw_bytes = rows.write(json_lines=files[0], tsv=files[1])
        ours, stored_share, theirs, unmerged = [], [], [], []
        for run in range(plan.runs):
            dataset = _dataset(plan, f"{order}-{run}")
            began = time.perf_counter()
            await dataset.add_file(_read(files[0]))
            unmerged.append(raw_bytes / MIB / (time.perf_counter() - began))
            await dataset.merge()
            ours.append(raw_bytes / MIB / (time.perf_counter() - began))
            stored_share.append(dataset.stored_bytes / raw_bytes)
            theirs.append(raw_bytes / MIB / await _copy(plan, files[1]))
        lines += [
            new_line(
                f"ingest-{order}",
                unit="MiB/s",
                runs=ours,
                baseline=("psql \\copy into a table with a primary key", theirs),
                goal=0.75,
                goal_of="ratio",
                at_least=True,
                also={"without_merge": unmerged, "peak_rss_mib": [_peak_mib()]},
            ),
            new_line(
                f"stored-{order}",
                unit="of raw",
                runs=stored_share,
                baseline=("", []),
                goal=0.8,
            ),
        ]
    return lines


async def _lookup(plan: _Plan) -> list[Line]:
    """Find records by key, alternately in a dataset and in PostgreSQL's B-tree."""
    rows = Rows(count=plan.records, shuffled=True)
    files = plan.folder / "rows.jsonl", plan.folder / "rows.tsv"
    rows.write(json_lines=files[0], tsv=files[1])
    await _copy(plan, files[1])
    dataset = _dataset(plan, "lookups")
    await dataset.add_file(_read(files[0]))
    await dataset.merge()
    async with _statement(plan) as find_row:
        ours, theirs = await _alternate(plan, rows, [dataset.find, find_row])
    idle, busy = await _beside_ingest(plan, rows, dataset, files[0])
    return [
        _latencies("lookup", ours, 0.5, "PostgreSQL's B-tree over its socket", theirs),
        _latencies("lookup", ours, 0.99, "PostgreSQL's B-tree over its socket", theirs, goal=2.0),
        _latencies("lookup-beside-ingest", busy, 0.5, "the same while idle", idle),
        _latencies("lookup-beside-ingest", busy, 0.99, "the same while idle", idle, goal=3.0),
    ]


async def _many(plan: _Plan) -> list[Line]:
    """Find records in 35 snapshots of 500 parts, and in one part with as many records."""
    newest = Rows(count=plan.keys_per_snapshot, shuffled=True, version=_SNAPSHOTS - 1)
    parts_each = -(-_PARTS // _SNAPSHOTS)
    alone = Rows(count=newest.count * _SNAPSHOTS, shuffled=True)
    one, merged, apart = (_dataset(plan, name) for name in ("one", "merged", "apart"))
    await one.add_part(b"".join(alone.parts(PART_BYTES)))
    for dataset in (merged, apart):
        for version in range(_SNAPSHOTS):
            snapshot = Rows(count=newest.count, shuffled=True, version=version)
            size = len(snapshot.line(0)) * newest.count // parts_each
            for part in snapshot.parts(size):
                await dataset.add_part(part)
            await dataset.merge_newest(parts_each)
    await merged.merge()
    # All is at hand, so the CPU's clock counts everything but the machine's other work.
    clock = time.thread_time
    [one_part] = await _alternate(plan, alone, [one.find], clock=clock)
    many, segments = await _alternate(plan, newest, [merged.find, apart.find], clock=clock)
    baseline = "one part with as many records"
    name, unit = "lookup-35-snapshots", "us of CPU"
    return [
        _latencies(name, many, 0.5, baseline, one_part, goal=1.7, unit=unit),
        _latencies(name, many, 0.99, baseline, one_part, goal=1.7, unit=unit),
        _latencies("lookup-35-segments", segments, 0.5, baseline, one_part, unit=unit),
    ]


_MEASURES: Final = {"ingest": _ingest, "lookup": _lookup, "many": _many}


def _latencies(
    name: str,
    ours: Sequence[Sequence[float]],
    share: float,
    baseline: str,
    theirs: Sequence[Sequence[float]],
    *,
    goal: float | None = None,
    unit: str = "us",
) -> Line:
    return new_line(
        f"{name}-p{share * 100:.0f}",
        unit=unit,
        runs=[percentile(run, share) for run in ours],
        baseline=(baseline, [percentile(run, share) for run in theirs]),
        goal=goal,
        goal_of="ratio",
    )


async def _alternate(
    plan: _Plan, rows: Rows, finds: Sequence[Find], *, clock: Clock = time.perf_counter
) -> list[list[list[float]]]:
    """Return the latencies of each way to find, in each run; other load affects all alike."""
    latencies: list[list[list[float]]] = [[] for _ in finds]
    # The first is not counted: what can be warm is.
    for _ in range(plan.runs + 1):
        run: list[list[float]] = [[] for _ in finds]
        for key in random.choices(range(rows.count), k=plan.lookups):  # noqa: S311 - a sample
            for number, find in enumerate(finds):
                run[number].append(await _timed(find, key, rows, clock))
        for number, each in enumerate(run):
            latencies[number].append(each)
    return [each[1:] for each in latencies]


async def _beside_ingest(
    plan: _Plan, rows: Rows, dataset: StoredDataset, file: Path
) -> tuple[list[list[float]], list[list[float]]]:
    """Return the latencies of lookups in pauses: while idle, and while a file is stored."""
    idle, busy = [], []
    for run in range(plan.runs):
        pause = asyncio.create_task(asyncio.sleep(_IDLE_SECONDS))
        idle.append(await _until_done(pause, dataset, rows))
        other = _dataset(plan, f"beside-{run}")
        ingest = asyncio.create_task(other.add_file(_read(file)))
        busy.append(await _until_done(ingest, dataset, rows))
    return idle, busy


async def _until_done(task: asyncio.Task[None], dataset: StoredDataset, rows: Rows) -> list[float]:
    latencies = []
    while not task.done():
        key = random.randrange(rows.count)  # noqa: S311 - a sample
        latencies.append(await _timed(dataset.find, key, rows, time.perf_counter))
        await asyncio.sleep(_PAUSE_SECONDS)
    await task
    return latencies


async def _timed(find: Find, key: int, rows: Rows, clock: Clock) -> float:
    began = clock()
    line = await find(key)
    took = (clock() - began) * _MICROSECONDS
    if line != rows.line(key):
        raise RuntimeError(f"the record of {key} is {line!r}")
    return took


def _dataset(plan: _Plan, name: str) -> StoredDataset:
    return StoredDataset(open_blobs(Settings(blob_url=(plan.folder / name).as_uri())))


async def _copy(plan: _Plan, tsv: Path) -> float:
    r"""Return the seconds of `\copy`."""
    connection = await asyncpg.connect(plan.database_url)
    try:
        await connection.execute(f"DROP TABLE IF EXISTS rows; {_CREATE}; CHECKPOINT")
        began = time.perf_counter()
        psql = await asyncio.create_subprocess_exec(
            plan.psql, "-qX", plan.database_url, "-c", f"\\copy rows FROM '{tsv}'"
        )
        if await psql.wait():
            raise RuntimeError("psql has failed")
        took = time.perf_counter() - began
        await connection.execute("VACUUM ANALYZE rows")
    finally:
        await connection.close()
    return took


@asynccontextmanager
async def _statement(plan: _Plan) -> AsyncIterator[Find]:
    connection = await asyncpg.connect(plan.database_url)
    statement = await connection.prepare(_FIND)

    async def find(key: int) -> bytes:
        body: str = await statement.fetchval(str(key))
        return body.encode()

    try:
        yield find
    finally:
        await connection.close()


async def _read(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB
