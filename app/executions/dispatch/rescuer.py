"""Rescue executions whose lease has expired: queue them again, or fail them as `worker_lost`."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import structlog

from app.execution_errors import ErrorKind, error_document
from app.executions.dispatch import claims, completion_report
from app.executions.dispatch.running_claims import RunningClaims
from app.executions.model import SlotUsage, Status
from app.metrics import LEASES_EXPIRED
from app.resources import Resources

log = structlog.get_logger(__name__)


class Rescuer:
    """Rescues the executions of any worker; every worker runs one."""

    def __init__(
        self, resources: Resources, *, running: RunningClaims, claim_now: asyncio.Event
    ) -> None:
        """Set `claim_now` after a rescue; `running` reports for how long slots were held."""
        self._resources = resources
        self._running = running
        self._claim_now = claim_now
        # A worker that starts after an outage lets the others renew their leases first.
        self._paused_until = self._now() + resources.settings.lease_seconds / 2

    def pause(self) -> None:
        """Rescue only what has not begun for the length of a lease.

        While PostgreSQL was away no worker could renew: a lease that looks expired may belong to
        one that is alive.
        """
        self._paused_until = self._now() + self._resources.settings.lease_seconds

    async def rescue_expired(self) -> None:
        """Rescue what has expired; if paused, what was handed over and has not begun.

        No worker renews the lease of that. Raises DatabaseUnavailable.
        """
        max_attempts = self._resources.settings.max_attempts
        error = error_document(
            ErrorKind.WORKER_LOST, f"none of {max_attempts} attempts came to an end"
        )
        async with self._resources.pool.acquire() as conn:
            rescued = await claims.rescue_expired(
                conn,
                max_attempts=max_attempts,
                error=error,
                begun=self._now() >= self._paused_until,
            )
            failed = [each.id for each in rescued if Status(each.status).final]
            completed = await completion_report.select_completed(conn, failed) if failed else []
        for execution in completed:
            completion_report.report_completion(self._resources.tracing, execution)
        self._count(rescued)
        self._announce(rescued, failed)

    def _count(self, rescued: Sequence[claims.Rescued]) -> None:
        for each in rescued:
            LEASES_EXPIRED.labels(each.status).inc()
            log.warning(
                "execution.lease_expired",
                id=str(each.id),
                status=each.status,
                attempts=each.attempts,
            )
        self._running.add_slot_usage(
            SlotUsage(tenant=each.tenant_id, seconds=each.held_seconds)
            for each in rescued
            # Without an attempt it was handed over and has not begun.
            if each.attempts
        )

    def _announce(self, rescued: Sequence[claims.Rescued], failed: Sequence[UUID]) -> None:
        self._resources.publisher.ended(*failed)
        self._resources.publisher.changed(*(each.id for each in rescued if each.id not in failed))
        if rescued:
            self._claim_now.set()
            # Another worker may have a free slot where this one has none.
            self._resources.work_signal.notify()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
