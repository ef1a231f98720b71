"""Exports of a test without an API: a dataset of lines, and a runner in the test's process."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Final, cast
from uuid import UUID

import asyncpg
import msgspec
import uuid_utils.compat as uuid

from app.blobs import Blobs
from app.db import Pool
from app.exports import acceptance_store
from app.exports.acceptance_store import NewExport, NewTask
from app.exports.attempt import RunTask
from app.exports.folders import open_worker_folder
from app.exports.model import ExportStage
from app.exports.parts import whole
from app.exports.plan.model import (
    Plan,
    Progress,
    Report,
    Resources as TaskResources,
    Task,
    Whole,
    WrittenFile,
)
from app.exports.runner import Runner
from app.exports.task_inputs import MapInput, WholeInput
from app.notifications import open_publisher
from app.notifier import open_notifier
from app.resources import Resources
from app.runs.acceptance_store import select_input
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT as TENANT
from tests.datasets.stores import Datasets

PLAN: Final = Plan()


class RunningExports:
    """A dataset, exports of it, and runners of tasks."""

    def __init__(self, resources: Resources, datasets: Datasets) -> None:
        self.resources = resources
        self.datasets = datasets
        self.pool: Pool = resources.pool
        self.blobs: Blobs = resources.blobs

    async def create(
        self,
        plan: Plan = PLAN,
        *,
        tenant: UUID = TENANT,
        buckets: int | None = None,
        base: UUID | None = None,
        destination: str | None = None,
    ) -> UUID:
        """Add an export of the newest snapshot: as a whole, or by `buckets`."""
        row = await self.pool.fetchrow("SELECT id, last_snapshot FROM datasets LIMIT 1")
        dataset, snapshot = (uuid.uuid7(), 1) if row is None else row
        since = None
        if base is not None:
            since = await self.pool.fetchval("SELECT snapshot FROM exports WHERE id = $1", base)
        export = uuid.uuid7()
        async with self.pool.acquire() as conn, conn.transaction():
            await select_input(conn, TENANT, dataset, snapshot)
            parts = await acceptance_store.select_parts(
                conn, TENANT, dataset, snapshot, since=since, skip_unchanged=not plan.key
            )
            # Each file a task, as more of them than a test has would make.
            shares = [whole([each]) for each in parts] if buckets else [whole(parts)]
            tasks = [
                NewTask(
                    input=msgspec.json.encode(
                        MapInput(ranges=each.ranges, buckets=buckets)
                        if buckets
                        else WholeInput(ranges=each.ranges)
                    ),
                    raw_bytes=each.raw_bytes,
                )
                for each in shares
            ]
            new = NewExport(
                id=export,
                dataset_id=dataset,
                dataset="scores",
                snapshot=snapshot,
                since=since,
                base_id=base,
                request=b"{}",
                plan=msgspec.json.encode(plan),
                plan_sha256=hashlib.sha256().digest(),
                destination=destination,
                labels={},
                callback_url=None,
                request_id=None,
                traceparent=None,
                input_sha256=hashlib.sha256().digest(),
                stage=ExportStage.MAP if buckets else ExportStage.WHOLE,
                raw_bytes=sum(each.raw_bytes for each in tasks),
            )
            await acceptance_store.insert_export(conn, tenant, new, tasks)
        return export

    async def row(self, export: UUID) -> asyncpg.Record:
        row = await self.pool.fetchrow("SELECT * FROM exports WHERE id = $1", export)
        assert row is not None
        return row

    async def tasks(self, export: UUID) -> list[asyncpg.Record]:
        """Return the tasks of an export, in order of stage and number."""
        return await self.pool.fetch(
            "SELECT * FROM export_tasks WHERE export_id = $1 ORDER BY stage, number", export
        )

    async def published(self, export: UUID) -> list[asyncpg.Record]:
        return await self.pool.fetch(
            "SELECT * FROM export_files WHERE export_id = $1 AND published ORDER BY name", export
        )

    async def run_all(self, run_task: RunTask) -> None:
        """Run tasks until none is due."""
        async with self.runner(run_task) as runner:
            while await runner.run_next():
                pass

    @asynccontextmanager
    async def runner(self, run_task: RunTask) -> AsyncIterator[Runner]:
        worker = uuid.uuid7()
        async with open_worker_folder(self.resources.settings, worker) as folder:
            yield Runner(self.resources, worker, folder, run_task)

    async def stored_bytes(self) -> int:
        """Return what counts as stored by exports: all but the parts of the dataset."""
        counted, held = await self.datasets.usage()
        return counted - held

    def blob_keys(self) -> set[str]:
        """Return the keys of all blobs of exports."""
        return {key for key in self.datasets.blob_keys() if "/exports/" in key}

    async def read(self, key: str) -> bytes:
        return b"".join([chunk async for chunk in self.blobs.read(key)])

    def folders(self) -> list[Path]:
        """Return what is in the folders of attempts of all workers."""
        return list((Path(self.resources.settings.data) / "exports").glob("*/*"))


@asynccontextmanager
async def open_exports(pool: Pool, settings: Settings) -> AsyncIterator[RunningExports]:
    datasets = Datasets(pool, settings)
    async with open_publisher(settings) as publisher, open_notifier(settings) as notifier:
        members = SimpleNamespace(
            pool=pool,
            blobs=datasets.blobs,
            settings=settings,
            publisher=publisher,
            notifier=notifier,
        )
        await datasets.create()
        yield RunningExports(cast("Resources", members), datasets)


class StandInTask:
    """Stands in for DuckDB: writes one file with the names of what it reads, or raises."""

    def __init__(self, *errors: BaseException | None) -> None:
        self.errors = list(errors)
        self.read: list[bytes] = []
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.cancelled = False

    async def __call__(
        self,
        task: Task,
        plan: Plan,
        resources: TaskResources,
        output_folder: Path,
        *,
        on_progress: Callable[[Progress], None],
    ) -> Report:
        assert plan is not None
        assert Path(resources.spill).is_dir()
        assert isinstance(task, Whole)
        self.read = [Path(each.local).read_bytes() for each in task.sources]
        on_progress(Progress(bytes_read=1, total_bytes=2))
        self.began.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error
        return report(output_folder, {"day=1/a.parquet": b"one", "day=2/a.parquet": b"two"})


def report(folder: Path, files: dict[str, bytes], *, rows: int = 1) -> Report:
    """Write files, and report them."""
    written = []
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        written.append(
            WrittenFile(
                name=name,
                rows=rows,
                size_bytes=len(content),
                sha256=hashlib.sha256(content).digest(),
                partition=[name[4:5]],
            )
        )
    return Report(
        rows_in=3,
        rows_out=rows * len(files),
        duplicates=1,
        bad_rows=0,
        bad=(),
        files=written,
        columns=(),
        cpu_ms=5.0,
        peak_memory_bytes=1_000,
    )


def lines(*values: object) -> bytes:
    return b"".join(b'{"pk":%b}\n' % msgspec.json.encode(each) for each in values)
