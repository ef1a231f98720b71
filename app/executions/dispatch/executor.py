"""Execute one claim: run it in the sandbox, record its outcome, or release it."""

import asyncio

import structlog
from msgspec.structs import replace

from app.execution_errors import failure_of
from app.executions.dispatch.completion import record_outcome
from app.executions.dispatch.engine_slots import PartLost, Parts
from app.executions.dispatch.health import HOST_TROUBLE, HostHealth
from app.executions.dispatch.jobs import finish_of, job_of
from app.executions.dispatch.releaser import Releaser
from app.executions.dispatch.running_claims import ResourceUsage, RunningClaim
from app.executions.model import Claim, Finish
from app.payloads.model import StoredPayload
from app.payloads.reader import payload_of
from app.payloads.writer import PayloadWriter
from app.resources import Resources
from app.sandbox.outcomes import Crashed, Job, Report, Succeeded
from app.schemas.checks import load_checks

log = structlog.get_logger(__name__)


class Executor:
    """Executes claims, each in a task of its own."""

    def __init__(
        self,
        resources: Resources,
        *,
        releaser: Releaser,
        health: HostHealth,
        parts: Parts | None = None,
    ) -> None:
        """Release by `releaser` what cannot be finished; report success and trouble to `health`."""
        self._resources = resources
        self._parts = parts
        self._releaser = releaser
        self._health = health

    async def execute(self, running: RunningClaim) -> None:
        """Execute a claim; it ends recorded, released, or with its lease left to expire."""
        claim = running.claim
        try:
            await running.wait_for_slot()
            finish = await self._run(running)
            finish = replace(finish, begun=running.begun)
            running.begin_recording()
            await record_outcome(self._resources, claim, finish)
            if claim.run_id is not None and self._parts is not None:
                await self._parts.ended(claim)
        except asyncio.CancelledError:
            # The worker stops, the lease is lost, a client has cancelled, or no slot became free.
            await self._releaser.release(running)
        except PartLost as lost:
            log.warning("execution.part_lost", id=str(claim.id), reason=str(lost))
            max_attempts = self._resources.settings.max_attempts
            # Without attempts left, it fails as its lease expires.
            if not lost.begun or claim.attempts < max_attempts:
                await self._releaser.release(running, counted=lost.begun)
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
            if not running.elsewhere:
                self._health.succeeded()

    async def _run(self, running: RunningClaim) -> Finish:
        claim, usage = running.claim, running.usage
        if claim.run_id is None or self._parts is None:
            return await run(self._resources, claim, usage)
        if running.elsewhere:
            return await self._parts.run_elsewhere(claim, usage)
        return await self._parts.run(claim, usage)


async def run(resources: Resources, claim: Claim, usage: ResourceUsage) -> Finish:
    """Run a claim to its outcome, which is not recorded yet.

    A cell that dies without evidence of an exceeded limit gets one retry in a fresh cell; a
    failure of the script gets none. `usage` grows with each cell, also when this is cancelled.
    Raises HOST_TROUBLE and BlobMissing.
    """
    checks = await load_checks(
        resources, claim.tenant_id, input=claim.input_schema, output=claim.output_schema
    )
    job = job_of(claim, checks=checks)
    report, result = await _run_in_cell(resources, claim, job, usage)
    if isinstance(report.outcome, Crashed):
        log.warning("execution.cell_crashed", id=str(claim.id), detail=report.outcome.detail)
        report, result = await _run_in_cell(resources, claim, job, usage, fresh=True)
    return finish_of(
        report, failure_of(report.outcome), result, usage, resources.sandbox.v8_version
    )


class _NotSucceeded(Exception):
    """Discards a half-written result; never leaves this module."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


async def _run_in_cell(
    resources: Resources, claim: Claim, job: Job, usage: ResourceUsage, *, fresh: bool = False
) -> tuple[Report, StoredPayload | None]:
    # With the token in the key, a late report never overwrites the next attempt's result.
    key = f"{claim.tenant_id}/results/{claim.id}-{claim.lease_token}"
    writer = PayloadWriter(resources.blobs, key)
    try:
        async with writer:
            report = await resources.sandbox.run(
                job,
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
