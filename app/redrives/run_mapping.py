"""Run failed records through a script again, so that none of them can stop the others."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from app.datasets.blob_cleanup import delete_blobs
from app.datasets.parts import BadLine, CollidingKeys, PartTooLarge
from app.errors import invalid
from app.execution_errors import ErrorKind, Failure, failure_of
from app.limits import MAX_SAMPLE_OUTPUT_BYTES
from app.redrives.deadlines import STEP_SECONDS, deadline
from app.redrives.run_store import RunnableVersion, SourceRun
from app.redrives.trouble import MustWait
from app.resources import Resources
from app.runs.model import Emit
from app.runs.output_writer import OutputWriter
from app.runs.record_errors import kept_error
from app.runs.task_store import Written
from app.sandbox.framing import LineTooLong
from app.sandbox.outcomes import Context, Io, Job, Limits, OutOfMemory, ScriptKind, Succeeded
from app.sandbox.parts import Format, OnError, Part, PartReport, RecordError, Task
from app.sandbox.schema_checks import Checks
from app.sandbox.session import Sink
from app.schemas.checks import load_checks
from app.scripts.params import NO_PARAMS

_TRIAL_WALL_MS: Final = 5_000
# Pipes and re-drives of other tenants wait for the same cell: records go through it in steps, more
# at a time while that is quick.
_FIRST_STEP: Final = 16
_QUICK_SECONDS: Final = 1.0
_STEP_WALL_MS: Final = 2_000
# Of one alone, as of an event of a pipe.
_RECORD_WALL_MS: Final = 10_000
_MEMORY_SECONDS: Final = 10.0
# The datasets' own word for what they cannot take, as in app/runs/part_runner.py.
_REFUSED: Final = (BadLine, CollidingKeys, PartTooLarge)


class Mapper(Struct, frozen=True, kw_only=True):
    """What failed records of a run are tried with."""

    tenant: UUID
    redrive_id: UUID
    run: SourceRun
    version: RunnableVersion

    @property
    def each_record(self) -> bool:
        """Whether `process` takes each record, as the run has it, or for want of a `map`."""
        return self.run.each is not None or ScriptKind.MAP not in self.version.kinds

    def require_runnable(self) -> None:
        """Refuse a version that cannot take the records. Raises InvalidRequest."""
        ref = f"{self.version.name}@{self.version.version}"
        if self.version.input_schema is not None and self.run.format is not Format.RECORDS:
            message = f"{ref} checks its input, and cannot check {self.run.format}"
            raise invalid("/script", message)
        if not self.each_record:
            return
        if ScriptKind.PROCESS not in self.version.kinds:
            raise invalid("/script", f"{ref} has no `map` or `process` that could take the records")
        if self.version.io is not Io.JSON:
            raise invalid("/script", f"`process` of {ref} takes bytes; records are JSON")
        if self.run.format is not Format.RECORDS:
            message = f"{ref} has no `map`, and `process` cannot take {self.run.format}"
            raise invalid("/script", message)
        if self.run.emit is Emit.MANY:
            message = f"{ref} has no `map`; the run emits many values a record, `process` one"
            raise invalid("/script", message)

    def job(self, checks: Checks | None, *, records: int) -> Job:
        """Return the job of a stream, with seed, clock, params and limits of the run.

        Its time is that of the run's parts at most, and what others can wait for.
        """
        run, limits = self.run, self.run.limits
        wall_ms = min(limits.wall_ms, _RECORD_WALL_MS if records == 1 else _STEP_WALL_MS)
        return Job(
            tenant=str(self.tenant),
            source=self.version.source,
            seed=run.seed,
            clock_ms=run.clock_ms,
            limits=Limits(
                wall_ms=wall_ms,
                cpu_ms=limits.max_cpu_ms if limits.max_cpu_ms < wall_ms else None,
                memory_bytes=limits.memory_bytes,
                output_bytes=limits.max_output_bytes,
            ),
            context=Context(
                execution_id=str(self.redrive_id),
                script=self.version.name,
                version=self.version.version,
                labels=run.labels,
                params=NO_PARAMS if run.params is None else run.params.decode(),
            ),
            checks=checks,
        )

    def on_trial(self) -> "Mapper":
        """Return one with limits that a request can wait for."""
        limits = self.run.limits
        lower = replace(
            limits,
            wall_ms=min(limits.wall_ms, _TRIAL_WALL_MS),
            max_output_bytes=min(limits.max_output_bytes, MAX_SAMPLE_OUTPUT_BYTES),
        )
        return replace(self, run=replace(self.run, limits=lower))

    def part(self, records: int) -> Part:
        """Return the part of a stream that goes on after every failed record."""
        return Part(
            task=Task.MAP,
            format=self.run.format,
            each_record=self.each_record,
            many=self.run.emit is Emit.MANY,
            on_error=OnError.SKIP,
            max_errors=records,
        )


class Mapped(Struct, kw_only=True):
    """What became of the first records: error documents by number, and what was stored.

    `published`: what was stored may be a part of the dataset by now.
    """

    tried: int = 0
    errors: dict[int, bytes]
    written: list[Written]
    published: bool = False

    async def discard(self, resources: Resources) -> None:
        """Delete what was stored and never published."""
        if not self.published:
            keys = [key for each in self.written for key in (each.keys.blob, each.keys.index)]
            self.written.clear()
            await delete_blobs(resources.blobs, keys)


async def map_records(
    resources: Resources, mapper: Mapper, records: Sequence[bytes], *, seconds: float
) -> Mapped:
    """Map records, and store the values of those that succeed as parts of the run's dataset.

    What a record does to a whole step (a limit, a crash, values that the dataset refuses) is pinned
    on it by halves. After `seconds` the rest is left untried, and so it is if a step has to wait,
    unless that is the first. Raises MustWait, and HOST_TROUBLE.
    """
    mapped = Mapped(errors={}, written=[])
    time = asyncio.get_running_loop().time
    until = time() + seconds
    size, suspects_end = _FIRST_STEP, 0
    try:
        while mapped.tried < len(records) and (not mapped.tried or time() < until):
            first, began = mapped.tried, time()
            last = min(first + size, len(records))
            failure = await _step(resources, mapper, records, first, last, mapped)
            if failure is not None and last - first > 1:
                size, suspects_end = (last - first) // 2, last
                continue
            if failure is not None:
                # What the steps before have failed at.
                mapped.errors[first], suspects_end = failure.document(), last
            mapped.tried = last
            if time() - began >= _QUICK_SECONDS:
                size = max(1, size // 2)
            elif last >= suspects_end:
                size *= 2
    except MustWait:
        if not mapped.tried:
            raise
    except BaseException:
        await asyncio.shield(mapped.discard(resources))
        raise
    return mapped


async def _step(
    resources: Resources,
    mapper: Mapper,
    records: Sequence[bytes],
    first: int,
    last: int,
    mapped: Mapped,
) -> Failure | None:
    """Map a slice of the records; return what has ended the whole stream, if anything has.

    Raises MustWait if the host has no memory left, or something does not answer, and HOST_TROUBLE.
    """
    async with deadline("the records were not mapped", seconds=STEP_SECONDS):
        failure = await _attempt(resources, mapper, records, first, last, mapped)
        if failure is not None and failure.kind is ErrorKind.SANDBOX_CRASH and last - first == 1:
            # As for executions: without evidence of a limit, once more.
            failure = await _attempt(resources, mapper, records, first, last, mapped)
    return failure


async def _attempt(
    resources: Resources,
    mapper: Mapper,
    records: Sequence[bytes],
    first: int,
    last: int,
    mapped: Mapped,
) -> Failure | None:
    errors: list[RecordError] = []
    run = mapper.run
    assert run.output_format is not None  # noqa: S101 - it has an output
    assert run.hash_seed is not None  # noqa: S101 - it has an output
    writer = OutputWriter(
        resources.blobs,
        mapper.tenant,
        format_=run.output_format,
        key=run.output_key,
        hash_seed=run.hash_seed,
    )
    chosen = records[first:last]
    try:
        # The turn ends before the last part is stored.
        async with writer:
            async with resources.pipe_turns.turn(mapper.tenant, weight=run.weight):
                report = await stream(resources, mapper, chosen, sink=writer.write, errors=errors)
            outcome = report.outcome
            if isinstance(outcome, OutOfMemory) and outcome.of_host:
                message = "the worker has no memory left"
                raise MustWait(message, seconds=_MEMORY_SECONDS)
            if not isinstance(outcome, Succeeded):
                raise _Ended(failure_of(outcome))  # noqa: TRY301 - through the writer
    except _Ended as ended:
        return ended.failure
    except LineTooLong as error:
        return Failure(ErrorKind.INVALID_INPUT, str(error), {})
    except _REFUSED as error:
        message = f"the dataset cannot take the values of map: {error}"
        return Failure(ErrorKind.INVALID_RESULT, message, {})
    if report.rows.rows_out:
        mapped.written += writer.written
    else:
        await writer.discard()
    for each in errors:
        mapped.errors[first + each.line - 1] = kept_error(each).error
    return None


class _Ended(Exception):
    """Discards what was written; never leaves this module."""

    def __init__(self, failure: Failure | None) -> None:
        super().__init__()
        self.failure = failure


async def stream(
    resources: Resources,
    mapper: Mapper,
    records: Sequence[bytes],
    *,
    sink: Sink,
    errors: list[RecordError],
) -> PartReport:
    """Run records through the script in one cell.

    They are checked as in a run: by the schemas of the version, and by that of the dataset which
    takes the values. Raises HOST_TROUBLE, LineTooLong.
    """
    checks = await load_checks(
        resources,
        mapper.tenant,
        input=mapper.version.input_schema,
        output=mapper.version.output_schema,
        record=mapper.run.record_schema,
    )

    async def keep(found: list[RecordError]) -> None:
        errors.extend(found)

    async def lines() -> AsyncIterator[bytes]:
        for each in records:
            yield each + b"\n"

    return await resources.sandbox.stream(
        mapper.job(checks, records=len(records)),
        mapper.part(len(records)),
        sink=sink,
        chunks=lines(),
        on_errors=keep,
    )
