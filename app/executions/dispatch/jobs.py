"""Turn claims into jobs of the sandbox, and its reports into outcomes."""

from app.console_documents import logs_document
from app.execution_errors import Failure
from app.executions.dispatch.running_claims import ResourceUsage
from app.executions.model import JSON_TYPE, Claim, Finish, Status
from app.losses import warnings_document
from app.payloads.model import StoredPayload
from app.payloads.writer import stored_inline
from app.sandbox.outcomes import Context, Job, Limits, Report
from app.sandbox.schema_checks import Checks
from app.scripts.params import NO_PARAMS


def job_of(claim: Claim, *, params: bytes | None = None, checks: Checks | None = None) -> Job:
    """Return the job of a claim; a part of a run has the `params` of the run."""
    params = claim.params if params is None else params
    return Job(
        tenant=str(claim.tenant_id),
        source=claim.source,
        seed=claim.seed,
        clock_ms=claim.clock_ms,
        limits=Limits(
            wall_ms=claim.limits.wall_ms,
            # A single thread cannot use more CPU time than wall time.
            cpu_ms=_below(claim.limits.max_cpu_ms, claim.limits.wall_ms),
            memory_bytes=claim.limits.memory_bytes,
            output_bytes=claim.limits.max_output_bytes,
        ),
        context=Context(
            execution_id=str(claim.id),
            script=claim.script,
            version=claim.version,
            labels=claim.labels,
            params=NO_PARAMS if params is None else params.decode(),
        ),
        io=claim.io,
        media_type=claim.input.media_type or JSON_TYPE,
        checks=checks,
    )


def _below(limit_ms: int, wall_ms: int) -> int | None:
    return limit_ms if limit_ms < wall_ms else None


def finish_of(
    report: Report,
    failure: Failure | None,
    result: StoredPayload | None,
    usage: ResourceUsage,
    v8_version: str,
) -> Finish:
    """Return the outcome of a claim: its result, or why it failed."""
    return Finish(
        status=Status.SUCCEEDED if failure is None else Status.FAILED,
        error_kind=None if failure is None else failure.kind,
        error=None if failure is None else failure.document(),
        v8_version=v8_version,
        isolation=report.isolation,
        run_ms=report.usage.run_ms,
        cpu_ms=usage.cpu_ms,
        peak_memory_bytes=usage.peak_memory_bytes,
        result=result,
        logs=_logs(report),
        warnings=None if failure is not None else warnings_document(report),
    )


def _logs(report: Report) -> StoredPayload | None:
    if not report.logs and not report.lines_dropped:
        return None
    return stored_inline(logs_document(report))
