"""Release claims that this worker will not finish."""

from app.executions.dispatch import claims
from app.executions.dispatch.running_claims import RunningClaim
from app.executions.model import Claim
from app.outages import DatabaseUnavailable
from app.resources import Resources


class Releaser:
    """Returns claims to the queue, mostly without counting an attempt."""

    def __init__(self, resources: Resources) -> None:
        """Use the resources' pool, publisher and work signal."""
        self._resources = resources
        # Releases that failed because PostgreSQL was away, each with the time the claim ran.
        self._pending: list[tuple[RunningClaim, float, bool]] = []

    async def release(self, running: RunningClaim, *, counted: bool = False) -> None:
        """Release a claim, now or once PostgreSQL is back; `counted`: an attempt has been made.

        If its lease expired first, an attempt would be counted.
        """
        run_ms = running.held_seconds * 1_000
        try:
            await self._release(running, run_ms, counted)
        except DatabaseUnavailable:
            self._pending.append((running, run_ms, counted))

    async def retry(self) -> None:
        """Repeat the releases that failed. Raises DatabaseUnavailable."""
        while self._pending:
            # Taken first: the heartbeat and the notifier's resync may both be here.
            running, run_ms, counted = self._pending.pop()
            try:
                await self._release(running, run_ms, counted)
            except BaseException:
                self._pending.append((running, run_ms, counted))
                raise

    async def _release(self, running: RunningClaim, run_ms: float, counted: bool) -> None:  # noqa: FBT001 - of a pending release
        claim = running.claim
        async with self._resources.pool.acquire() as conn:
            if not await claims.release(conn, claim, counted=counted):
                if running.is_held:
                    return
                await claims.report_usage(
                    conn,
                    claim,
                    run_ms=run_ms,
                    # Zero means that no cell has reported: unknown, so nothing is recorded.
                    cpu_ms=running.usage.cpu_ms or None,
                    peak_memory_bytes=running.usage.peak_memory_bytes or None,
                )
                return
        self._announce(claim)

    def _announce(self, claim: Claim) -> None:
        self._resources.publisher.changed(claim.id)
        # Another worker may have a free slot.
        self._resources.work_signal.notify()
