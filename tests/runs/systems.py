"""Runs of a test without an API: a worker's parts in the test's process, on a real database."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import asyncpg
import uuid_utils.compat as uuid

from app.auth.callers import Caller
from app.background import background
from app.datasets import file_service, service, upload_service
from app.datasets.file_store import ByteSpan
from app.datasets.model import CommitFile, CreateUpload, Mode, PutDataset
from app.datasets.parts import Format as DatasetFormat, ObjectCache
from app.datasets.publishing import commit
from app.datasets.refs import DatasetRef
from app.datasets.upload_service import Part
from app.executions.dispatch.dispatcher import SPARE_SLOTS, Dispatcher
from app.keys.bootstrap import operator
from app.limits import LimitChoice
from app.payloads.model import StoredPayload
from app.payloads.reader import read_payload
from app.preconditions import NO_PRECONDITIONS
from app.quotas.model import Caps
from app.quotas.turns import TenantTurns
from app.resources import Resources, open_resources
from app.runs.acceptance_store import NewRun, insert_run, select_input
from app.runs.advance import run_advance
from app.runs.model import Emit
from app.runs.parts import LocalParts
from app.runs.service import cancel
from app.sandbox.outcomes import ScriptKind
from app.sandbox.parts import Format, OnError, Task
from app.scripts import store as scripts
from app.scripts.version_schemas import NO_SCHEMAS, VersionSchemas
from app.settings import Settings
from tests.datasets.stores import chunks, digest_of

SEED: Final = 7
NO_LIMITS: Final = LimitChoice()


class RunsSystem:
    """Scripts, datasets and runs of the operator's tenant, and a worker."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self.caller: Caller = operator()
        self.caller.caps = Caps()
        self.tenant = self.caller.tenant
        self.cache = ObjectCache(resources.blobs, max_bytes=2**20)
        self._turns = TenantTurns(max_per_tenant=16)

    async def script(self, source: str, schemas: VersionSchemas = NO_SCHEMAS) -> UUID:
        script = uuid.uuid7()
        async with self.resources.pool.acquire() as conn:
            await scripts.insert_script(
                conn, self.tenant, script, name=f"s-{script}", description=""
            )
            await scripts.insert_version(
                conn,
                self.tenant,
                script,
                source=source.encode(),
                kinds=(ScriptKind.MAP,),
                schemas=schemas,
                limits=LimitChoice(),
                note="",
            )
        return script

    async def dataset(
        self,
        name: str,
        files: Mapping[str, Sequence[bytes]],
        *,
        format_: DatasetFormat = DatasetFormat.JSONL,
        key: str | None = None,
    ) -> UUID:
        """Create a dataset of files, each of parts, and publish them one after the other."""
        wanted = PutDataset(format=format_, key=key)
        await service.put(self.resources, self.caller, name, wanted, preconditions=NO_PRECONDITIONS)
        for path, parts in files.items():
            await self.publish(name, path, parts)
        async with self.resources.pool.acquire() as conn:
            return (await service.read_dataset(conn, self.tenant, name)).id

    async def publish(self, name: str, path: str, parts: Sequence[bytes]) -> None:
        upload = await upload_service.begin(self.resources, self.caller, name, CreateUpload())
        for number, content in enumerate(parts, 1):
            part = Part(path=path, number=number, data=chunks(content))
            await upload_service.receive_part(
                self.resources, self.caller, upload.id, part, turns=self._turns
            )
        named = CommitFile(path=path, parts=len(parts), digest=digest_of(*parts))
        await commit(self.resources, self.caller, upload.id, [named])

    async def start(  # noqa: PLR0913 - one for each thing a test may want to choose
        self,
        script: UUID,
        dataset: str,
        *tasks: Task,
        format_: Format = Format.RECORDS,
        emit: Emit = Emit.ONE,
        each: str | None = None,
        merges: bool = True,
        output: str | None = None,
        mode: Mode = Mode.REPLACE,
        on_error: OnError = OnError.FAIL,
        max_errors: int = 10,
        limits: LimitChoice = NO_LIMITS,
        clock_ms: int | None = None,
    ) -> UUID:
        run = uuid.uuid7()
        async with self.resources.pool.acquire() as conn, conn.transaction():
            resolved = await service.resolve(
                conn, self.tenant, DatasetRef(name=dataset, snapshot=None)
            )
            assert resolved.number is not None
            output_id = None
            if output is not None:
                output_id = (await service.read_dataset(conn, self.tenant, output)).id
            totals = await select_input(conn, self.tenant, resolved.dataset_id, resolved.number)
            assert totals is not None
            new = NewRun(
                id=run,
                script_id=script,
                version=1,
                dataset_id=resolved.dataset_id,
                dataset=dataset,
                snapshot=resolved.number,
                format=format_,
                each=each,
                emit=emit,
                on_error=on_error,
                max_errors=max_errors,
                tasks=tasks,
                merges=merges,
                output_dataset_id=output_id,
                output_dataset=output,
                output_mode=None if output is None else mode,
                params=None,
                labels={},
                priority=-1,
                seed=SEED,
                clock_ms=clock_ms,
            )
            await insert_run(
                conn,
                self.tenant,
                new,
                totals=totals,
                limits=limits,
                policy=self.resources.settings.limit_policy,
            )
        return run

    async def cancel(self, run: UUID) -> None:
        await cancel(self.resources, self.caller, run)

    async def row(self, run: UUID) -> asyncpg.Record:
        row = await self.resources.pool.fetchrow("SELECT * FROM runs WHERE id = $1", run)
        assert row is not None
        return row

    async def ended(self, run: UUID) -> asyncpg.Record:
        async with asyncio.timeout(60):
            while (row := await self.row(run))["finished_at"] is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return row

    async def result(self, run: UUID) -> bytes:
        row = await self.ended(run)
        assert row["status"] == "succeeded", row["error"]
        stored = await self.resources.pool.fetchrow(
            "SELECT sha256, size_bytes, body, blob_key FROM payloads "
            "WHERE execution_id = $1 AND kind = 'result'",
            row["result_of"],
        )
        assert stored is not None
        payload = StoredPayload(**stored)
        return b"".join([each async for each in read_payload(self.resources.blobs, payload)])

    async def read(self, dataset: str, path: str) -> bytes:
        ref = DatasetRef(name=dataset, snapshot=None)
        file = await file_service.find_file(self.resources, self.tenant, ref, path)
        span = ByteSpan(start=0, end=file.raw_bytes)
        read = file_service.read_file(self.resources, self.cache, self.tenant, file.id, span)
        return b"".join([chunk async for chunk in read])

    async def count(self, table: str) -> int:
        found: int = await self.resources.pool.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608
        return found

    @asynccontextmanager
    async def worker(self, *, slots: int = 2) -> AsyncIterator[Dispatcher]:
        """Run a worker for the length of the block."""
        dispatcher = Dispatcher(self.resources, slots=slots, parts=LocalParts(self.resources))
        async with background(run_advance(self.resources)):
            running = asyncio.create_task(dispatcher.run_until_stopped())
            try:
                yield dispatcher
            finally:
                dispatcher.stop()
                await running


@asynccontextmanager
async def open_runs(settings: Settings, *, cells: int = 2) -> AsyncIterator[RunsSystem]:
    async with open_resources(settings, cells=cells, spare_cells=SPARE_SLOTS) as resources:
        yield RunsSystem(resources)
