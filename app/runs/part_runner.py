"""Run one part of a run in the sandbox: read its input, store what it writes."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Final

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from app.blobs import BlobMissing
from app.datasets.blob_cleanup import delete_blobs
from app.datasets.parts import (
    BadLine,
    CollidingKeys,
    Format as DatasetFormat,
    ObjectCache,
    PartRef,
    PartTooLarge,
    read_range,
)
from app.datasets.upload_store import counted_bytes, require_stored_bytes
from app.execution_errors import ErrorKind, Failure, failure_of, over_quota
from app.executions.dispatch.jobs import finish_of, job_of
from app.executions.dispatch.running_claims import ResourceUsage
from app.executions.model import Claim, Finish, Status
from app.limits import MIB
from app.payloads.model import StoredPayload
from app.payloads.reader import read_payload
from app.payloads.writer import PayloadWriter, stored_inline
from app.quotas.errors import QuotaExceeded
from app.resources import Resources
from app.runs import task_store
from app.runs.model import Emit
from app.runs.output_writer import OutputWriter
from app.runs.part_checks import part_checks
from app.runs.record_errors import kept_error
from app.runs.task_store import Counts, PartTask, Written
from app.sandbox.framing import LineTooLong
from app.sandbox.outcomes import Crashed, Job, Succeeded
from app.sandbox.parts import Output, Part, PartReport, RecordError, Task
from app.sandbox.schema_checks import Checks
from app.sandbox.session import Sink

log = structlog.get_logger(__name__)

# The datasets' own word for what a map cannot write into them.
_REFUSED: Final = (BadLine, CollidingKeys, PartTooLarge)
# Of a state: a merge has several in memory.
_MAX_STATE_BYTES: Final = 64 * MIB


async def run_part(  # noqa: PLR0911 - one line a reason
    resources: Resources, cache: ObjectCache, claim: Claim, usage: ResourceUsage
) -> Finish:
    """Run a claimed part to its outcome, which is not recorded yet.

    What it has written is stored beside its token, and counts once the outcome is recorded. As with
    an execution, a cell that dies without evidence of a limit gets one retry. Raises HOST_TROUBLE,
    BlobMissing, ObjectDamaged.
    """
    async with resources.pool.acquire() as conn:
        task = await task_store.begin(conn, claim)
        if task is None:
            # Its outcome will be refused.
            return _failed(resources, Failure(ErrorKind.INVALID_INPUT, "the run has ended", {}))
        inputs = await task_store.select_inputs(conn, claim.tenant_id, task)
    running = _RunningPart(resources, cache, claim, task, usage, inputs=inputs)
    try:
        return await running.run()
    except LineTooLong as error:
        return await running.refuse(str(error), input_line=error.line)
    except _REFUSED as error:
        message = f"the dataset cannot take the values of map: {error}"
        return await running.refuse(message, kind=ErrorKind.INVALID_RESULT)
    except task_store.StateGone as error:
        return await running.refuse(str(error))
    except task_store.RunEnded as error:
        # Its outcome will be refused.
        return _failed(resources, Failure(ErrorKind.INVALID_INPUT, str(error), {}))
    except QuotaExceeded as error:
        message = f"the failed records do not fit into the quota: {error}"
        return await running.refuse(message, kind=ErrorKind.OUTPUT_TOO_LARGE)
    except BlobMissing:
        async with resources.pool.acquire() as conn:
            if await task_store.has_input(conn, claim.tenant_id, task):
                raise
        return await running.refuse("the file that the part reads has been deleted")


class _Attempt(Struct, frozen=True, kw_only=True):
    """A part that has run; `output` holds what a map has written."""

    report: PartReport
    result: StoredPayload | None
    output: OutputWriter | None

    @property
    def written(self) -> Sequence[Written]:
        return () if self.output is None else self.output.written


class _NotSucceeded(Exception):
    """Discards what was written; never leaves this module."""

    def __init__(self, report: PartReport) -> None:
        super().__init__()
        self.report = report


class _RunningPart:
    """One claimed part, for as long as it runs."""

    def __init__(
        self,
        resources: Resources,
        cache: ObjectCache,
        claim: Claim,
        task: PartTask,
        usage: ResourceUsage,
        *,
        inputs: Sequence[PartRef],
    ) -> None:
        self._resources = resources
        self._cache = cache
        self._claim = claim
        self._task = task
        self._usage = usage
        self._inputs = inputs
        self._states: Sequence[bytes] = ()
        self._checks: Checks | None = None
        self._errors = 0

    async def run(self) -> Finish:
        """Run the part to its outcome."""
        claim = self._claim
        async with self._resources.pool.acquire() as conn:
            stored = await task_store.select_states(conn, claim.tenant_id, self._task)
        self._states = [await _all_of(self._resources, each) for each in stored]
        self._checks = await part_checks(self._resources, claim, self._task)
        attempt = await self._attempt()
        if isinstance(attempt.report.outcome, Crashed):
            log.warning("execution.cell_crashed", id=str(claim.id))
            async with self._resources.pool.acquire() as conn:
                await task_store.delete_errors(conn, claim)
            attempt = await self._attempt()
        return await self._finish(attempt)

    async def refuse(
        self,
        message: str,
        *,
        kind: ErrorKind = ErrorKind.INVALID_INPUT,
        input_line: int | None = None,
    ) -> Finish:
        """Return the outcome of a part that cannot run, or whose values nothing can take."""
        failure = self._placed(Failure(kind, message, {}), input_line)
        kept = await self._keep(None, Counts(rows_in=0, rows_out=0, rows_failed=self._errors))
        return _failed(self._resources, kept or failure)

    async def _attempt(self) -> _Attempt:
        """Run the part in a fresh cell; what it has written is there if it has succeeded."""
        claim, task = self._claim, self._task
        self._errors = 0
        output: OutputWriter | None = None
        result: PayloadWriter | None = None
        sink: Sink = _discard
        try:
            async with AsyncExitStack() as stack:
                if task.task is not Task.MAP:
                    key = f"{claim.tenant_id}/results/{claim.id}-{claim.lease_token}"
                    result = PayloadWriter(self._resources.blobs, key)
                    sink = (await stack.enter_async_context(result)).write
                elif task.output_format is not None:
                    output = self._output_writer(task.output_format)
                    sink = (await stack.enter_async_context(output)).write
                report = await self._stream(sink)
                if not isinstance(report.outcome, Succeeded):
                    raise _NotSucceeded(report)  # noqa: TRY301 - through the writers
        except _NotSucceeded as failed:
            return _Attempt(report=failed.report, result=None, output=None)
        stored = None if result is None else result.stored()
        return _Attempt(report=report, result=stored, output=output)

    def _output_writer(self, format_: DatasetFormat) -> OutputWriter:
        task = self._task
        assert task.hash_seed is not None  # noqa: S101 - it has a dataset
        return OutputWriter(
            self._resources.blobs,
            self._claim.tenant_id,
            format_=format_,
            key=task.output_key,
            hash_seed=task.hash_seed,
        )

    async def _finish(self, attempt: _Attempt) -> Finish:
        """Store what a successful attempt has done, and return its outcome."""
        report, result = attempt.report, attempt.result
        counts = Counts(**report.rows._asdict())
        failure = failure_of(report.outcome)
        if failure is not None:
            failure = self._placed(failure, report.line)
            if report.rows.rows_failed > self._task.max_errors:
                # Of fewer it would have gone on without this record.
                most = {"max_errors": self._task.max_errors_of_run}
                failure = replace(failure, details={**failure.details, **most})
        elif result is None:
            result = stored_inline(msgspec.json.encode(counts))
        # Also of a failure: its rows and failed records are shown.
        failure = await self._keep(attempt, counts) or failure
        if failure is not None:
            result = None
        return finish_of(report, failure, result, self._usage, self._resources.sandbox.v8_version)

    async def _stream(self, sink: Sink) -> PartReport:
        task = self._task
        part = Part(
            task=task.task,
            format=task.format,
            output=Output.BYTES if task.format == "bytes" else Output.RECORDS,
            each_record=task.task is Task.MAP and task.each is not None,
            many=task.emit is Emit.MANY,
            on_error=task.on_error,
            max_errors=task.max_errors,
            finish=task.finishes,
            first_line=task.first_line + 1,
        )
        async with aclosing(self._chunks()) as chunks:
            report = await self._resources.sandbox.stream(
                self._job(),
                part,
                sink=sink,
                chunks=None if task.task is Task.MERGE else chunks,
                states=self._states,
                on_errors=self._keep_errors,
                on_aborted=lambda used: self._usage.add(
                    cpu_ms=used.cpu_ns / 1e6, peak_memory_bytes=used.peak_bytes
                ),
            )
        used = report.usage
        self._usage.add(cpu_ms=used.cpu_ms, peak_memory_bytes=used.peak_memory_bytes)
        return report

    def _job(self) -> Job:
        job = job_of(self._claim, params=self._task.params, checks=self._checks)
        if self._task.task is Task.MAP or self._task.finishes:
            return job
        output_bytes = min(job.limits.output_bytes, _MAX_STATE_BYTES)
        return replace(job, limits=replace(job.limits, output_bytes=output_bytes))

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        for each in self._inputs:
            async with aclosing(read_range(self._cache, each, 0, each.raw_bytes)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _keep_errors(self, errors: list[RecordError]) -> None:
        task, claim = self._task, self._claim
        if task.task is Task.FOLD and task.output_format is not None:
            # The map of the same part reports them, too.
            return
        stored = [kept_error(each) for each in errors]
        size_bytes = sum(len(each.error) + len(each.record or b"") for each in stored)
        async with self._resources.pool.acquire() as conn, conn.transaction():
            await task_store.share_run(conn, claim.tenant_id, task.run_id)
            await require_stored_bytes(conn, claim.tenant_id, size_bytes)
            await task_store.insert_errors(conn, claim, task.run_id, self._errors, stored)
        self._errors += len(stored)

    async def _keep(self, attempt: _Attempt | None, counts: Counts) -> Failure | None:
        """Store what was done beside the token; return why it cannot be stored, if so."""
        claim, run_id = self._claim, self._task.run_id
        written = () if attempt is None else attempt.written
        stored_bytes = counted_bytes(each.part for each in written)
        over: Failure | None = None
        try:
            async with self._resources.pool.acquire() as conn, conn.transaction():
                await task_store.share_run(conn, claim.tenant_id, run_id)
                try:
                    if written:
                        await require_stored_bytes(conn, claim.tenant_id, stored_bytes)
                except QuotaExceeded as error:
                    written, left_bytes = (), max(0, error.limit - error.used)
                    over = over_quota(stored_bytes, limit_bytes=error.limit, left_bytes=left_bytes)
                await task_store.insert_attempt(conn, claim, run_id, counts, written)
        except task_store.RunEnded as error:
            over = Failure(ErrorKind.INVALID_INPUT, str(error), {})
        if over is None:
            return None
        await self._discard(attempt)
        return self._placed(over, None)

    async def _discard(self, attempt: _Attempt | None) -> None:
        if attempt is not None and attempt.output is not None:
            await attempt.output.discard()
        if attempt is not None and attempt.result is not None and attempt.result.blob_key:
            await delete_blobs(self._resources.blobs, [attempt.result.blob_key])

    def _placed(self, failure: Failure, line: int | None) -> Failure:
        task = self._task
        place: dict[str, object] = {"path": task.path, "input_line": line}
        return replace(failure, details={**failure.details, **place})


def _failed(resources: Resources, failure: Failure) -> Finish:
    return Finish(
        status=Status.FAILED,
        error_kind=failure.kind,
        error=failure.document(),
        v8_version=resources.sandbox.v8_version,
        isolation=resources.sandbox.isolation,
        run_ms=0,
        cpu_ms=0,
        peak_memory_bytes=0,
        result=None,
        logs=None,
    )


async def _all_of(resources: Resources, payload: StoredPayload) -> bytes:
    return b"".join([chunk async for chunk in read_payload(resources.blobs, payload)])


async def _discard(_chunk: bytes) -> None:
    """Drop the values of a map that no dataset takes."""
