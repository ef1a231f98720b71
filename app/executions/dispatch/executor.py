"""Execute one claim: run it in the sandbox, record its outcome, or release it."""

import asyncio

import structlog
from msgspec.structs import replace

from app.console_documents import logs_document
from app.execution_errors import failure_of
from app.executions.dispatch.completion import record_outcome
from app.executions.dispatch.health import HOST_TROUBLE, HostHealth
from app.executions.dispatch.releaser import Releaser
from app.executions.dispatch.running_claims import ResourceUsage, RunningClaim
from app.executions.model import JSON_TYPE, Claim, Finish, Status
from app.losses import warnings_document
from app.payloads.model import StoredPayload
from app.payloads.reader import payload_of
from app.payloads.writer import PayloadWriter, stored_inline
from app.resources import Resources
from app.sandbox.outcomes import Context, Crashed, Job, Limits, Report, Succeeded
from app.scripts.params import NO_PARAMS

log = structlog.get_logger(__name__)


class Executor:
    """Executes claims, each in a task of its own."""

    def __init__(self, resources: Resources, *, releaser: Releaser, health: HostHealth) -> None:
        """Release by `releaser` what cannot be finished; report success and trouble to `health`."""
        self._resources = resources
        self._releaser = releaser
        self._health = health

    async def execute(self, running: RunningClaim) -> None:
        """Execute a claim; it ends recorded, released, or with its lease left to expire."""
        claim = running.claim
        try:
            await running.wait_for_slot()
            finish = await run(self._resources, claim, running.usage)
            finish = replace(finish, begun=running.begun)
            running.begin_recording()
            await record_outcome(self._resources, claim, finish)
        except asyncio.CancelledError:
            # The worker stops, the lease is lost, a client has cancelled, or no slot became free.
            await self._releaser.release(running)
        except HOST_TROUBLE as error:
            # The host is at fault, not the execution: no attempt is counted.
            log.debug("execution.handed_back", id=str(claim.id), reason=str(error))
            self._health.host_failed(error)
            await self._releaser.release(running)
        except Exception:
            # The execution may be at fault, as with a payload that is gone. Once the lease has
            # expired, the rescuer queues it again, or fails it when its attempts are used up.
            log.exception("execution.platform_failure", id=str(claim.id))
            self._health.pause()
        else:
            self._health.succeeded()


async def run(resources: Resources, claim: Claim, usage: ResourceUsage) -> Finish:
    """Run a claim to its outcome, which is not recorded yet.

    A cell that dies without evidence of an exceeded limit gets one retry in a fresh cell; a
    failure of the script gets none. `usage` grows with each cell, also when this is cancelled.
    Raises HOST_TROUBLE and BlobMissing.
    """
    report, result = await _run_in_cell(resources, claim, usage)
    if isinstance(report.outcome, Crashed):
        log.warning("execution.cell_crashed", id=str(claim.id), detail=report.outcome.detail)
        report, result = await _run_in_cell(resources, claim, usage, fresh=True)
    return _finish(report, result, usage, resources.sandbox.v8_version)


class _NotSucceeded(Exception):
    """Discards a half-written result; never leaves this module."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


async def _run_in_cell(
    resources: Resources, claim: Claim, usage: ResourceUsage, *, fresh: bool = False
) -> tuple[Report, StoredPayload | None]:
    # With the token in the key, a late report never overwrites the next attempt's result.
    key = f"{claim.tenant_id}/results/{claim.id}-{claim.lease_token}"
    writer = PayloadWriter(resources.blobs, key)
    try:
        async with writer:
            report = await resources.sandbox.run(
                _job(claim),
                payload=payload_of(resources.blobs, claim.input),
                sink=writer.write,
                fresh=fresh,
                on_aborted=lambda used: usage.add(
                    cpu_ms=used.cpu_ns / 1e6, peak_memory_bytes=used.peak_bytes
                ),
            )
            usage.add(cpu_ms=report.usage.cpu_ms, peak_memory_bytes=report.usage.peak_memory_bytes)
            if not isinstance(report.outcome, Succeeded):
                raise _NotSucceeded(report)  # noqa: TRY301 - it must pass through the writer
    except _NotSucceeded as failed:
        return failed.report, None
    return report, replace(writer.stored(), media_type=report.outcome.media_type)


def _job(claim: Claim) -> Job:
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
            params=NO_PARAMS if claim.params is None else claim.params.decode(),
        ),
        io=claim.io,
        media_type=claim.input.media_type or JSON_TYPE,
    )


def _below(limit_ms: int, wall_ms: int) -> int | None:
    return limit_ms if limit_ms < wall_ms else None


def _finish(
    report: Report, result: StoredPayload | None, usage: ResourceUsage, v8_version: str
) -> Finish:
    failure = failure_of(report.outcome)
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
