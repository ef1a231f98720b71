"""Run one claimed execution in the sandbox, and record what came of it."""

import asyncio
import json
from contextlib import suppress
from time import time_ns
from typing import Final

import structlog
from msgspec.structs import replace

from app.execution_errors import failure_of, logs_document, over_quota, unkept_logs_document
from app.executions.dispatch import claims, completion
from app.executions.dispatch.claims import StoredBytesExceeded
from app.executions.dispatch.completion import Ended
from app.executions.model import Claim, Finish, Status, StoredPayload
from app.executions.payloads import PayloadWriter, read_payload, stored_inline
from app.losses import warnings_document
from app.metrics import LATE_REPORTS
from app.outages import BlobsUnavailable, DatabaseUnavailable
from app.resources import Resources
from app.sandbox.outcomes import Context, Crashed, Job, Limits, Report, Succeeded
from app.scripts.params import NO_PARAMS

log = structlog.get_logger(__name__)

_RETRY_SECONDS: Final = 0.5


class ResourceUsage:
    """What the cells of one claim have taken, all together; 0: nothing is known yet."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.cpu_ms = 0.0
        self.peak_memory_bytes = 0

    def add(self, *, cpu_ms: float, peak_memory_bytes: int) -> None:
        """Add what one cell has taken."""
        self.cpu_ms += cpu_ms
        self.peak_memory_bytes = max(self.peak_memory_bytes, peak_memory_bytes)


async def run(resources: Resources, held: Claim, spent: ResourceUsage) -> Finish:
    """Run a claim to its outcome, which is not recorded yet.

    A cell that dies without evidence of a limit gets one more try, in a fresh cell; a
    script's own failure never does. Raises what the platform raises. What cells take goes to
    `spent` as well, also when this is cancelled.
    """
    report, result = await _attempt(resources, held, spent)
    if isinstance(report.outcome, Crashed):
        log.warning("execution.cell_crashed", id=str(held.id), detail=report.outcome.detail)
        report, result = await _attempt(resources, held, spent, fresh=True)
    return _finish(report, result, spent, resources.sandbox.v8_version)


async def record(resources: Resources, held: Claim, finish: Finish) -> None:
    """Record an outcome, unless the claim is ours no longer: then only tidy up.

    While PostgreSQL is away, tries until the lease is certainly gone, then raises.
    """
    ran_until_ns = time_ns()
    ended, recorded = await _finish_claim(resources, held, finish)
    if ended is None:
        LATE_REPORTS.inc()
        log.warning("execution.late_report_refused", id=str(held.id))
        async with resources.pool.acquire() as conn:
            await claims.report_usage(
                conn,
                held,
                run_ms=finish.run_ms,
                cpu_ms=finish.cpu_ms,
                peak_memory_bytes=finish.peak_memory_bytes,
            )
        await _discard(resources, finish.result)
        return
    resources.publisher.told(held.id)
    completion.report_completion(resources.tracing, ended, ran_until_ns=ran_until_ns)
    if recorded.result is None:
        await _discard(resources, finish.result)


class _NotSucceeded(Exception):
    """Gives up a half-written result; never leaves this module."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


async def _attempt(
    resources: Resources, held: Claim, spent: ResourceUsage, *, fresh: bool = False
) -> tuple[Report, StoredPayload | None]:
    # The token in the key: a late report never overwrites the result of the next attempt.
    key = f"{held.tenant_id}/results/{held.id}-{held.lease_token}"
    writer = PayloadWriter(resources.blobs, key)
    try:
        async with writer:
            report = await resources.sandbox.run(
                _job(held),
                payload=read_payload(resources.blobs, held.input),
                sink=writer.write,
                fresh=fresh,
                on_aborted=lambda used: spent.add(
                    cpu_ms=used.cpu_ns / 1e6, peak_memory_bytes=used.peak_bytes
                ),
            )
            spent.add(cpu_ms=report.usage.cpu_ms, peak_memory_bytes=report.usage.peak_memory_bytes)
            if not isinstance(report.outcome, Succeeded):
                raise _NotSucceeded(report)  # noqa: TRY301 - it must pass through the writer
    except _NotSucceeded as ended:
        return ended.report, None
    return report, writer.stored()


async def _finish_claim(
    resources: Resources, held: Claim, finish: Finish
) -> tuple[Ended | None, Finish]:
    """Record an outcome, or what of it the tenant's quota leaves room for; say which."""
    lease_ends = asyncio.get_running_loop().time() + resources.settings.lease_seconds
    while True:
        try:
            async with resources.pool.acquire() as conn:
                return await claims.finish(conn, held, finish), finish
        except StoredBytesExceeded as over:
            log.info("execution.over_quota", id=str(held.id), limit=over.limit, used=over.used)
            finish = within_quota(finish, over)
        except DatabaseUnavailable:
            if asyncio.get_running_loop().time() > lease_ends:
                raise
            await asyncio.sleep(_RETRY_SECONDS)


def within_quota(finish: Finish, over: StoredBytesExceeded) -> Finish:
    """Leave out what there is no room for: the console where the result fits, else the result.

    A result that is left out makes the execution one that failed; of a console that is left out
    the number of its lines stays.
    """
    left = max(0, over.limit - over.used)
    result = finish.result
    if result is not None and (finish.logs is None or result.size_bytes > left):
        failure = over_quota(result.size_bytes, limit_bytes=over.limit, left_bytes=left)
        return replace(
            finish,
            status=Status.FAILED,
            error_kind=failure.kind,
            error=failure.document(),
            result=None,
        )
    lines = 0
    if finish.logs is not None and finish.logs.body is not None:
        written = json.loads(finish.logs.body)
        lines = len(written["lines"]) + written["lines_dropped"]
    return replace(finish, logs=stored_inline(unkept_logs_document(lines)))


async def _discard(resources: Resources, result: StoredPayload | None) -> None:
    if result is not None and result.blob_key is not None:
        # What stays is swept.
        with suppress(BlobsUnavailable):
            await resources.blobs.delete(result.blob_key)


def _job(held: Claim) -> Job:
    return Job(
        tenant=str(held.tenant_id),
        source=held.source,
        seed=held.seed,
        clock_ms=held.clock_ms,
        limits=Limits(
            wall_ms=held.limits.wall_ms,
            # One thread cannot use more CPU time than time passes.
            cpu_ms=_below(held.limits.max_cpu_ms, held.limits.wall_ms),
            memory_bytes=held.limits.memory_bytes,
            output_bytes=held.limits.max_output_bytes,
        ),
        context=Context(
            execution_id=str(held.id),
            script=held.script,
            version=held.version,
            labels=held.labels,
            params=NO_PARAMS if held.params is None else held.params.decode(),
        ),
    )


def _below(limit_ms: int, wall_ms: int) -> int | None:
    return limit_ms if limit_ms < wall_ms else None


def _finish(
    report: Report, result: StoredPayload | None, spent: ResourceUsage, v8_version: str
) -> Finish:
    failure = failure_of(report.outcome)
    return Finish(
        status=Status.SUCCEEDED if failure is None else Status.FAILED,
        error_kind=None if failure is None else failure.kind,
        error=None if failure is None else failure.document(),
        v8_version=v8_version,
        run_ms=report.usage.run_ms,
        cpu_ms=spent.cpu_ms,
        peak_memory_bytes=spent.peak_memory_bytes,
        result=result,
        logs=_logs(report),
        warnings=None if failure is not None else warnings_document(report),
    )


def _logs(report: Report) -> StoredPayload | None:
    if not report.logs and not report.lines_dropped:
        return None
    return stored_inline(logs_document(report))
