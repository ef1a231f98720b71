"""Claim for one worker, and report with each claim for how long its slots were held."""

from uuid import UUID

from app.executions.dispatch import claims, part_claims
from app.executions.dispatch.running_claims import RunningClaims
from app.executions.model import Claim
from app.resources import Resources


class Claimer:
    """The claims of one worker."""

    def __init__(self, resources: Resources, worker: UUID, *, running: RunningClaims) -> None:
        """Report the slot usage of `running`."""
        self._resources = resources
        self._worker = worker
        self._running = running
        settings = resources.settings
        self._lease_seconds = settings.lease_seconds
        self._default_max_running = settings.default_max_running or None

    async def claim(
        self, limit: int, *, ahead: int = 0, only_executions: bool = False
    ) -> claims.Claimed:
        """Claim up to `limit` executions. Raises DatabaseUnavailable."""
        with self._running.reporting_slot_usage() as served:
            async with self._resources.pool.acquire() as conn:
                return await claims.claim(
                    conn,
                    self._worker,
                    limit=limit,
                    ahead=ahead,
                    lease_seconds=self._lease_seconds,
                    room=self._resources.sandbox.room,
                    default_max_running=self._default_max_running,
                    served=served,
                    only_executions=only_executions,
                )

    async def claim_parts(self, limit: int, *, max_memory_bytes: int | None) -> list[Claim]:
        """Claim up to `limit` parts of runs. Raises DatabaseUnavailable."""
        with self._running.reporting_slot_usage() as served:
            async with self._resources.pool.acquire() as conn:
                return await part_claims.claim_parts(
                    conn,
                    self._worker,
                    limit=limit,
                    lease_seconds=self._lease_seconds,
                    default_max_running=self._default_max_running,
                    served=served,
                    max_memory_bytes=max_memory_bytes,
                )
