"""Run tasks in this process, and read what they have written."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, NamedTuple

import duckdb

from app.exports.plan import protocol
from app.exports.plan.child import carry_out, files_of
from app.exports.plan.columns import UnitedColumns, with_columns
from app.exports.plan.model import (
    BucketTask,
    HeldFile,
    MapTask,
    Plan,
    Report,
    Resources,
    SourceFile,
    Task,
    Whole,
    WriteTask,
)
from app.exports.plan.progress import Meter
from app.exports.plan.session import open_session

MEMORY = 400_000_000
Row = tuple[tuple[str | None, ...], dict[str, Any]]


class Folder(NamedTuple):
    """A folder for one test, or one example of a property."""

    path: Path

    def source(self, lines: Sequence[bytes], name: str = "lines.jsonl") -> SourceFile:
        local = self.path / name
        local.write_bytes(b"\n".join(lines) + b"\n")
        return SourceFile(local=str(local), path=name)

    def run(self, task: Task, plan: Plan, *, output: Path | None = None) -> "Result":
        with TemporaryDirectory(dir=self.path) as spill:
            output = output or Path(mkdtemp(dir=self.path))
            resources = Resources(memory_bytes=MEMORY, threads=2, spill=spill)
            request = protocol.Request(task, plan, resources, str(output))
            with open_session(resources, files=files_of(task), output=output) as connection:
                return Result(carry_out(connection, request, output, Meter(1)), output)

    def run_stages(self, sources: Sequence[SourceFile], plan: Plan) -> list["Result"]:
        """Run a map task for each source, three buckets and two write tasks."""
        maps = [
            self.run(MapTask(sources=[source], number=n, buckets=3), plan)
            for n, source in enumerate(sources)
        ]
        united = UnitedColumns()
        for each in maps:
            united.add(each.report.columns)
        last = with_columns(plan, united.of(plan))
        buckets = [
            self.run(BucketTask(held=held, bucket=n), plan)
            for n in range(3)
            if (held := [h for each in maps for h in each.held if h.bucket == n])
        ]
        survivors = [held for each in buckets for held in each.held]
        partitions = sorted(
            {tuple(p.partition) for each in buckets for p in each.report.partitions}, key=repr
        )
        return [
            self.run(WriteTask(held=survivors, partitions=some), last)
            for some in (partitions[::2], partitions[1::2])
            if some
        ]


class Result(NamedTuple):
    """What a task has reported, and where its files are."""

    report: Report
    output: Path

    @property
    def held(self) -> list[HeldFile]:
        return [
            HeldFile(
                local=str(self.output / file.name), bucket=file.bucket, partition=file.partition
            )
            for file in self.report.files
        ]

    @property
    def rows(self) -> list[Row]:
        return [row for held in self.held for row in rows_of(held)]


def rows_of(held: HeldFile) -> list[Row]:
    """Read a file as anyone does."""
    with duckdb.connect() as connection:
        query = connection.execute(
            "SELECT * FROM read_parquet(?, hive_partitioning = false)", [held.local]
        )
        names = [each[0] for each in query.description or ()]
        return [
            (tuple(held.partition), dict(zip(names, row, strict=True))) for row in query.fetchall()
        ]


def whole(*sources: SourceFile, base: Sequence[HeldFile] = ()) -> Whole:
    """Return the task that does everything."""
    return Whole(sources=sources, base=base)
