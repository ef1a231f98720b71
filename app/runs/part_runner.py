"""Run one part of a run in the sandbox: read its input, store what it writes."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Final

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from app.datasets.parts import (
    BadLine,
    CollidingKeys,
    Format as DatasetFormat,
    ObjectCache,
    PartRef,
    PartTooLarge,
    read_range,
)
from app.datasets.upload_store import require_room
from app.execution_errors import ErrorKind, Failure, failure_of, over_quota
from app.executions.dispatch.jobs import finish_of, job_of
from app.executions.dispatch.running_claims import ResourceUsage
from app.executions.model import Claim, Finish, Status
from app.limits import MIN_COUNTED_PART_BYTES
from app.payloads.model import StoredPayload
from app.payloads.reader import read_payload
from app.payloads.writer import PayloadWriter, stored_inline
from app.quotas.errors import QuotaExceeded
from app.quotas.model import Caps, Quota
from app.resources import Resources
from app.runs import task_store
from app.runs.model import Emit
from app.runs.output_writer import OutputWriter
from app.runs.task_store import Counts, PartTask, StoredError, Written
from app.sandbox.framing import LineTooLong
from app.sandbox.outcomes import Crashed, Succeeded
from app.sandbox.parts import Output, Part, PartReport, RecordError, Task
from app.sandbox.session import Sink

log = structlog.get_logger(__name__)

# The datasets' own word for what a map cannot write into them.
_REFUSED: Final = (BadLine, CollidingKeys, PartTooLarge)


async def run_part(
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
            return _not_run(resources, "the run has ended")
        inputs = await task_store.select_inputs(conn, claim.tenant_id, task)
        stored_states = await task_store.select_states(conn, claim.tenant_id, task)
    states = [await _all_of(resources, each) for each in stored_states]
    running = _RunningPart(resources, cache, claim, task, usage, inputs=inputs, states=states)
    try:
        attempt = await running.attempt()
        if isinstance(attempt.report.outcome, Crashed):
            log.warning("execution.cell_crashed", id=str(claim.id))
            attempt = await running.attempt()
    except LineTooLong as error:
        return _not_run(resources, str(error), path=task.path, input_line=error.line)
    except _REFUSED as error:
        message = f"the dataset cannot take the values of map: {error}"
        return _not_run(resources, message, kind=ErrorKind.INVALID_RESULT, path=task.path)
    return await running.finish(attempt)


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
        states: Sequence[bytes],
    ) -> None:
        self._resources = resources
        self._cache = cache
        self._claim = claim
        self._task = task
        self._usage = usage
        self._inputs = inputs
        self._states = states
        self._errors = 0

    async def attempt(self) -> _Attempt:
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

    async def finish(self, attempt: _Attempt) -> Finish:
        """Store what a successful attempt has done, and return its outcome."""
        report, result = attempt.report, attempt.result
        failure = failure_of(report.outcome)
        if failure is not None:
            failure = self._placed(failure, report.line)
        else:
            counts = Counts(**report.rows._asdict())
            if result is None:
                result = stored_inline(msgspec.json.encode(counts))
            failure = await self._keep(attempt, counts)
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
                job_of(self._claim, params=task.params),
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

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        for each in self._inputs:
            async with aclosing(read_range(self._cache, each, 0, each.raw_bytes)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _keep_errors(self, errors: list[RecordError]) -> None:
        stored = [
            StoredError(line=each.line, error=_document_of(each), record=each.record)
            for each in errors
        ]
        async with self._resources.pool.acquire() as conn:
            await task_store.insert_errors(
                conn, self._claim, self._task.run_id, self._errors, stored
            )
        self._errors += len(stored)

    async def _keep(self, attempt: _Attempt, counts: Counts) -> Failure | None:
        """Store what was done beside the token; return why it cannot be stored, if so."""
        claim, run_id = self._claim, self._task.run_id
        parts = [each.part for each in attempt.written]
        stored_bytes = sum(
            max(each.stored_bytes + each.index_bytes, MIN_COUNTED_PART_BYTES) for each in parts
        )
        try:
            async with self._resources.pool.acquire() as conn, conn.transaction():
                if parts:
                    cap = await task_store.select_max_stored_bytes(
                        conn, claim.tenant_id, self._resources.settings.default_max_stored_bytes
                    )
                    caps = Caps(max_stored_bytes=cap)
                    await require_room(
                        conn, claim.tenant_id, caps, stored_bytes=stored_bytes, raw_bytes=0
                    )
                await task_store.insert_attempt(conn, claim, run_id, counts, attempt.written)
        except QuotaExceeded as error:
            if error.quota is not Quota.STORED_BYTES:
                raise
            await self._discard(attempt)
            left_bytes = max(0, error.limit - error.used)
            return self._placed(
                over_quota(stored_bytes, limit_bytes=error.limit, left_bytes=left_bytes), None
            )
        except task_store.RunEnded:
            await self._discard(attempt)
            return Failure(ErrorKind.INVALID_INPUT, "the run has ended", {})
        return None

    async def _discard(self, attempt: _Attempt) -> None:
        if attempt.output is not None:
            await attempt.output.discard()

    def _placed(self, failure: Failure, line: int | None) -> Failure:
        place = {"path": self._task.path, "input_line": line}
        return replace(failure, details={**failure.details, **place})


def _not_run(
    resources: Resources,
    message: str,
    *,
    kind: ErrorKind = ErrorKind.INVALID_INPUT,
    path: str | None = None,
    input_line: int | None = None,
) -> Finish:
    failure = Failure(kind, message, {"path": path, "input_line": input_line})
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


def _document_of(error: RecordError) -> bytes:
    failure = failure_of(error.outcome)
    assert failure is not None  # noqa: S101 - no outcome of a record is a success
    return failure.document()


async def _all_of(resources: Resources, payload: StoredPayload) -> bytes:
    return b"".join([chunk async for chunk in read_payload(resources.blobs, payload)])


async def _discard(_chunk: bytes) -> None:
    """Drop the values of a map that no dataset takes."""
