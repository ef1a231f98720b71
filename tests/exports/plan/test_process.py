"""A task in its process: progress, memory, and its end."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import duckdb
import psutil
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from app.exports.plan import protocol
from app.exports.plan.model import (
    ExportColumn,
    Grain,
    HeldFile,
    PartitionColumn,
    Plan,
    Progress,
    Report,
    Resources,
    Room,
    SourceFile,
    TaskFailed,
    TaskLost,
    Whole,
)
from app.exports.plan.process import run_task
from app.exports.plan.session import open_session
from app.limits import GIB
from app.schemas.ddl.types import Field, Kind, Scalar, StructOf

ROOT = Path(__file__).resolve().parents[3]
_LEVEL = PartitionColumn(name="p", grain=Grain.VALUE, pointer="/p")


def _resources(
    folder: Path, *, memory_bytes: int = 400_000_000, room_bytes: int | None = None
) -> Resources:
    for name in ("spill", "out"):
        (folder / name).mkdir()
    room = None
    if room_bytes is not None:
        room = Room(max_bytes=room_bytes, is_scarce=False, reserve_bytes=0)
    return Resources(memory_bytes=memory_bytes, threads=1, spill=str(folder / "spill"), room=room)


def _source(folder: Path, rows: int, *, width: int = 1) -> SourceFile:
    local = folder / "lines.jsonl"
    with local.open("w", encoding="ascii") as file:
        file.writelines(f'{{"k": "{n * 7919 % rows:0{width}d}"}}\n' for n in range(rows))
    return SourceFile(local=str(local), path="lines.jsonl")


def _endless(folder: Path) -> SourceFile:
    """Return a source that holds whoever opens it: nobody writes to it."""
    local = folder / "lines.jsonl"
    os.mkfifo(local)
    return SourceFile(local=str(local), path="lines.jsonl")


async def test_a_task_reports_progress_and_what_it_took(tmp_path: Path) -> None:
    source, seen = _source(tmp_path, 200_000), list[Progress]()
    report = await run_task(
        Whole(sources=[source]),
        Plan(key=["/k"]),
        _resources(tmp_path),
        tmp_path / "out",
        on_progress=seen.append,
    )
    assert (report.rows_in, report.rows_out) == (200_000, 200_000)
    assert report.cpu_ms > 0
    assert 20_000_000 < report.peak_memory_bytes < 480_000_000
    read = [each.bytes_read for each in seen]
    assert read == sorted(read)
    assert {each.total_bytes for each in seen} == {Path(source.local).stat().st_size}


async def test_a_cancelled_task_leaves_no_process(tmp_path: Path) -> None:
    task, child = await _running(tmp_path)
    if os.geteuid() == 0:  # a peer cannot read it
        assert psutil.Process(child).environ() == {}
    assert psutil.Process(child).rlimit(psutil.RLIMIT_DATA)[0] < 2 * GIB
    assert psutil.Process(child).rlimit(psutil.RLIMIT_FSIZE)[0] == GIB
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not psutil.pid_exists(child)


async def test_a_task_whose_process_is_killed_is_lost(tmp_path: Path) -> None:
    task, child = await _running(tmp_path)
    os.kill(child, signal.SIGKILL)
    with pytest.raises(TaskLost, match="ended with -9"):
        await task


async def _running(folder: Path) -> tuple[asyncio.Task[Report], int]:
    """Start a task without end, and return it with its process once that has a database."""
    before, resources = _children(), _resources(folder, room_bytes=GIB)
    task = asyncio.create_task(
        run_task(Whole(sources=[_endless(folder)]), Plan(key=["/k"]), resources, folder / "out")
    )
    await _opened(resources)
    [child] = _children() - before
    return task, child


async def _opened(resources: Resources) -> None:
    """Wait for the database, before which the death signal is set."""
    while not any(Path(resources.spill).iterdir()):  # noqa: ASYNC110 - another process opens it
        await asyncio.sleep(0.01)


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


async def test_the_process_dies_with_its_parent(tmp_path: Path) -> None:
    source, resources = _endless(tmp_path), _resources(tmp_path)
    program = (
        "import asyncio; from pathlib import Path; from app.exports.plan.model import *;"
        " from app.exports.plan.process import run_task;"
        f" source = SourceFile(local={source.local!r}, path='');"
        f" resources = Resources(memory_bytes=400_000_000, threads=1, spill={resources.spill!r});"
        f" asyncio.run(run_task(Whole(sources=[source]), Plan(key=['/k']), resources,"
        f" Path({str(tmp_path / 'out')!r})))"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=ROOT)
    await _opened(resources)
    [child] = psutil.Process(parent.pid).children()
    parent.kill()
    await parent.wait()
    _, alive = psutil.wait_procs([child], timeout=20)
    for left in alive:
        left.kill()
    assert not alive


def _message(data: bytes) -> bytes:
    return protocol.LENGTH.pack(len(data)) + data


@pytest.mark.parametrize(
    "answer",
    # What is in force is said before any record is read, by a process that can be trusted.
    [_message(b"x"), 2 * _message(protocol.encode(protocol.Confined({})))],
    ids=["none", "confined later"],
)
async def test_an_answer_that_cannot_be_one_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    # Stands in for the child: its answer, and a process that does not end by itself.
    write = f"sys.stdout.buffer.write({answer!r}); sys.stdout.flush()"
    stand_in = f"import sys, time; {write}; time.sleep(600)"
    monkeypatch.setattr("app.exports.plan.process._BOOT", stand_in)
    async with asyncio.timeout(60):
        with pytest.raises(TaskLost, match="ended with -9"):
            await run_task(Whole(sources=[]), Plan(), _resources(tmp_path), tmp_path / "out")


async def test_a_fault_of_the_program_is_found_once(tmp_path: Path) -> None:
    # Accepted by no request: DuckDB refuses the type.
    fields = tuple(Field(name, Scalar(Kind.BIGINT), "") for name in ("Id", "id"))
    plan = Plan(columns=[ExportColumn(name="s", pointer="/s", type=StructOf(fields))])
    with capture_logs() as logs, pytest.raises(TaskFailed, match=r"export\.fault") as caught:
        await run_task(
            Whole(sources=[_source(tmp_path, 1)]), plan, _resources(tmp_path), tmp_path / "out"
        )
    assert caught.value.kind == "internal"
    [entry] = [each for each in logs if each["event"] == "export.fault"]
    assert "are one name to DuckDB" in entry["report"]


def test_duckdb_reads_only_the_files_of_the_task(tmp_path: Path) -> None:
    resources, source = _resources(tmp_path), _source(tmp_path, 1)
    other = tmp_path / "other.jsonl"
    other.write_bytes(b'{"k":1}\n')
    output = tmp_path / "out"
    read = "SELECT * FROM read_json_objects('{}')"
    with open_session(resources, files=[source.local], output=output) as connection:
        connection.execute(read.format(source.local))
        for statement in (
            read.format(other),
            f"COPY (SELECT 1) TO '{tmp_path / 'elsewhere'}'",
            f"ATTACH '{tmp_path / 'other.duckdb'}'",
            "SET enable_external_access = true",
        ):
            with pytest.raises((duckdb.PermissionException, duckdb.InvalidInputException)):
                connection.execute(statement)


@pytest.mark.parametrize(
    ("rows", "members", "width", "threads"),
    [(3_000, 20, 400, 8), (1_000, 4, 15_000, 4), (40, 1, 1_000_000, 2)],
)
async def test_wide_rows_fit_into_the_memory_of_a_task(
    tmp_path: Path, rows: int, members: int, width: int, threads: int
) -> None:
    local = tmp_path / "wide.jsonl"
    with local.open("w", encoding="ascii") as file:
        for n in range(rows):
            values = (f'"m{m}":"{f"{n:x}/{m}/" * (width // 8)}"' for m in range(members))
            file.write(f'{{"k":{n},{",".join(values)}}}\n')
    resources = replace(_resources(tmp_path, memory_bytes=600_000_000), threads=threads)
    source = SourceFile(local=str(local), path="")
    report = await run_task(Whole(sources=[source]), Plan(key=["/k"]), resources, tmp_path / "out")
    assert report.rows_out == rows


async def test_many_files_of_an_earlier_export_take_little_memory(tmp_path: Path) -> None:
    members = {f"m{n}": n for n in range(200)}
    local = tmp_path / "lines.jsonl"
    local.write_text(json.dumps({"k": 0, "p": "new", **members}) + "\n")
    source, levels = SourceFile(local=str(local), path=""), [_LEVEL]
    plan, resources = Plan(key=["/k"], partition_by=levels), _resources(tmp_path)
    report = await run_task(Whole(sources=[source]), plan, resources, tmp_path / "out")
    [file] = report.files
    base = [HeldFile(local=str(tmp_path / f"{n}.parquet"), partition=[str(n)]) for n in range(600)]
    for held in base:
        os.link(tmp_path / "out" / file.name, held.local)
    local.write_text(json.dumps({"k": 1, "p": "new", **members}) + "\n")

    (tmp_path / "2").mkdir()
    continued = Whole(sources=[source], base=base)
    report = await run_task(continued, plan, _resources(tmp_path / "2"), tmp_path / "2" / "out")
    assert report.rows_out == 1
    assert report.peak_memory_bytes < 250_000_000


async def test_out_of_memory_is_named(tmp_path: Path) -> None:
    # A row group of wide rows is more than the process may take.
    source = _source(tmp_path, 1_000, width=300_000)
    with pytest.raises(TaskFailed) as caught:
        await run_task(
            Whole(sources=[source]),
            Plan(key=["/k"]),
            _resources(tmp_path, memory_bytes=1),
            tmp_path / "out",
        )
    assert caught.value.kind == "out_of_memory"


async def test_columns_of_one_pointer_need_room_for_its_value_once(tmp_path: Path) -> None:
    local = tmp_path / "lines.jsonl"
    # DuckDB would write no blank, so Python reads them.
    local.write_text("".join(f'{{"a" :"{n}{"x" * 50_000}"}}\n' for n in range(30)))
    types = [Scalar(Kind.STRING), *(Scalar(Kind.VARCHAR, (n,)) for n in range(60_000, 60_039))]
    columns = [ExportColumn(name=f"c{n}", pointer="/a", type=of) for n, of in enumerate(types)]
    resources = _resources(tmp_path, room_bytes=20_000_000)
    source = SourceFile(local=str(local), path="")
    report = await run_task(
        Whole(sources=[source]), Plan(columns=columns), resources, tmp_path / "out"
    )
    assert (report.rows_out, len(report.columns)) == (30, 40)


@pytest.mark.parametrize(
    ("partitions", "room_bytes", "is_scarce", "reserve_bytes", "kind"),
    [
        (1, 8_000_000, False, 0, "over_disk_limit"),
        (1, 8_000_000, True, 0, "out_of_space"),
        # Many small files, whose sum counts.
        (4_000, 8_000_000, False, 0, "over_disk_limit"),
        # Others fill the disk meanwhile.
        (4_000, 10**15, False, 10**15, "out_of_space"),
    ],
)
async def test_a_task_ends_once_its_files_take_more_than_their_room(
    tmp_path: Path,
    partitions: int,
    room_bytes: int,
    is_scarce: bool,  # noqa: FBT001 - a parameter
    reserve_bytes: int,
    kind: str,
) -> None:
    local = tmp_path / "lines.jsonl"
    width = 20_000 // partitions
    with local.open("w", encoding="ascii") as file:
        file.writelines(f'{{"p":{n % partitions},"k":"{n:0{width}d}"}}\n' for n in range(4_000))
    room = Room(max_bytes=room_bytes, is_scarce=is_scarce, reserve_bytes=reserve_bytes)
    resources = replace(_resources(tmp_path), room=room)
    plan = Plan(key=["/k"], partition_by=[_LEVEL])
    source = SourceFile(local=str(local), path="")
    with pytest.raises(TaskFailed) as caught:
        await run_task(Whole(sources=[source]), plan, resources, tmp_path / "out")
    assert caught.value.kind == kind


async def test_a_file_that_is_not_there_is_another_attempt(tmp_path: Path) -> None:
    missing = SourceFile(local=str(tmp_path / "missing"), path="")
    with pytest.raises(TaskLost, match="FileNotFoundError"):
        await run_task(Whole(sources=[missing]), Plan(), _resources(tmp_path), tmp_path / "out")
