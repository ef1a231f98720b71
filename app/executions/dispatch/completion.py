"""Record the outcome of a claim and report it."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from time import time_ns
from typing import Final

import structlog
from msgspec.structs import replace

from app.console_documents import dropped_logs_document
from app.db import Pool
from app.execution_errors import over_quota
from app.executions.dispatch import claims
from app.executions.dispatch.completion_report import CompletedExecution, report_completion
from app.executions.dispatch.outcome_groups import finish_several
from app.executions.dispatch.stored_bytes import StoredBytesExceeded
from app.executions.model import Claim, Finish, Status
from app.lanes import ALONE, MAX_LINGERING_BYTES, MAX_SHARED_BYTES, Alone
from app.metrics import LATE_REPORTS
from app.outages import BlobsUnavailable, DatabaseUnavailable
from app.payloads.model import StoredPayload
from app.payloads.writer import stored_inline
from app.resources import Resources

log = structlog.get_logger(__name__)

_RETRY_SECONDS: Final = 0.5
# How long the outcome of a batch's item waits for others. If the worker dies meanwhile, it is lost
# as if the item had still run.
_LINGER_SECONDS: Final = 0.04


async def record_outcome(resources: Resources, claim: Claim, finish: Finish) -> None:
    """Record an outcome; if the claim is lost, only clean up after it.

    While PostgreSQL is away, it retries until the lease has certainly expired, and then raises
    DatabaseUnavailable.
    """
    ran_until_ns = time_ns()
    completed, recorded = await _finish_claim(resources, claim, finish)
    if completed is None:
        await _refuse_late_report(resources, claim, finish)
        return
    resources.publisher.discard(claim.id)
    report_completion(resources.tracing, completed, ran_until_ns=ran_until_ns)
    if recorded.result is None:
        await _delete_blob(resources, finish.result)


async def _finish_claim(
    resources: Resources, claim: Claim, finish: Finish
) -> tuple[CompletedExecution | None, Finish]:
    """Record an outcome, reduced to the tenant's quota where it must be, and return it."""
    lease_expires = asyncio.get_running_loop().time() + resources.settings.lease_seconds
    while True:
        try:
            return await _record(resources, claim, finish), finish
        except StoredBytesExceeded as error:
            log.info("execution.over_quota", id=str(claim.id), limit=error.limit, used=error.used)
            finish = within_quota(finish, error)
        except DatabaseUnavailable:
            if asyncio.get_running_loop().time() > lease_expires:
                raise
            await asyncio.sleep(_RETRY_SECONDS)


async def _record(resources: Resources, claim: Claim, finish: Finish) -> CompletedExecution | None:
    """Record an outcome, together with others that arrive while one is being recorded."""
    outcome, size_bytes = (claim, finish), _size_bytes(finish)
    # The statement for several knows no media types.
    is_bytes = finish.result is not None and finish.result.media_type is not None
    if size_bytes > MAX_SHARED_BYTES or is_bytes:
        return await _record_one(resources.pool, outcome)
    lingers = claim.batch_id is not None and size_bytes <= MAX_LINGERING_BYTES
    return await resources.lanes.submit(
        # Recording may wait for a lock of the tenant's quota, which must delay no other tenant.
        ("outcomes", (claim.tenant_id, lingers)),
        outcome,
        one=partial(_record_one, resources.pool),
        many=partial(_record_several, resources.pool),
        linger_seconds=_LINGER_SECONDS if lingers else 0,
    )


async def _record_one(pool: Pool, outcome: tuple[Claim, Finish]) -> CompletedExecution | None:
    async with pool.acquire() as conn:
        return await claims.finish(conn, *outcome)


async def _record_several(
    pool: Pool, outcomes: Sequence[tuple[Claim, Finish]]
) -> Sequence[CompletedExecution | Alone]:
    try:
        async with pool.acquire() as conn:
            recorded = await finish_several(conn, outcomes)
    except StoredBytesExceeded:
        # Nothing was recorded. Each outcome by itself shows which of them has no room.
        return [ALONE] * len(outcomes)
    # Of the others, the procedure for one says whether their claims are lost.
    return [ALONE if each is None else each for each in recorded]


def _size_bytes(finish: Finish) -> int:
    payloads = (each and each.body for each in (finish.result, finish.logs))
    return sum(len(each or b"") for each in (*payloads, finish.error, finish.warnings))


def within_quota(finish: Finish, exceeded: StoredBytesExceeded) -> Finish:
    """Drop the console if the result fits into the quota, else drop the result.

    Without its result the execution fails. A dropped console keeps its number of lines.
    """
    left_bytes = max(0, exceeded.limit - exceeded.used)
    result = finish.result
    if result is not None and (finish.logs is None or result.size_bytes > left_bytes):
        failure = over_quota(result.size_bytes, limit_bytes=exceeded.limit, left_bytes=left_bytes)
        return replace(
            finish,
            status=Status.FAILED,
            error_kind=failure.kind,
            error=failure.document(),
            result=None,
        )
    lines = 0
    if finish.logs is not None and finish.logs.body is not None:
        console = json.loads(finish.logs.body)
        lines = len(console["lines"]) + console["lines_dropped"]
    return replace(finish, logs=stored_inline(dropped_logs_document(lines)))


async def _refuse_late_report(resources: Resources, claim: Claim, finish: Finish) -> None:
    LATE_REPORTS.inc()
    log.warning("execution.late_report_refused", id=str(claim.id))
    async with resources.pool.acquire() as conn:
        await claims.report_usage(
            conn,
            claim,
            run_ms=finish.run_ms,
            cpu_ms=finish.cpu_ms,
            peak_memory_bytes=finish.peak_memory_bytes,
        )
    await _delete_blob(resources, finish.result)


async def _delete_blob(resources: Resources, result: StoredPayload | None) -> None:
    if result is not None and result.blob_key is not None:
        # Retention deletes blobs that no row names.
        with suppress(BlobsUnavailable):
            await resources.blobs.delete(result.blob_key)
