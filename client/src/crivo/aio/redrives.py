"""Re-drives of failed work, asynchronously."""

from collections.abc import AsyncIterator
from typing import Unpack
from uuid import UUID

from crivo import redrive_flows as flows
from crivo.aio.calls import AsyncCalls
from crivo.options import RedriveFilter, RedriveListFilter, Ref
from crivo.redrive_models import Redrive, RedrivePlan
from crivo.waits import OnState

Id = UUID | str


class AsyncRedrives(AsyncCalls):
    """Failed work that is tried again: dead letters, records of runs, executions.

    The conditions name one of `pipe`, `run` and `execution`; `on` is the version that tries again.
    """

    async def create(
        self,
        *,
        on: Ref | None = None,
        per_second: int | None = None,
        idempotency_key: str | None = None,
        **filters: Unpack[RedriveFilter],
    ) -> Redrive:
        """Re-drive what matches now, at most `per_second`; each is tried once."""
        return await self._driver.do(
            flows.create(
                self._session,
                on=on,
                per_second=per_second,
                idempotency_key=idempotency_key,
                filters=filters,
            )
        )

    async def plan(self, *, on: Ref | None = None, **filters: Unpack[RedriveFilter]) -> RedrivePlan:
        """Count what `create` would match, and try the first ten; nothing is forwarded."""
        return await self._driver.do(flows.plan(self._session, on=on, filters=filters))

    async def show(self, redrive: Id) -> Redrive:
        """Show a re-drive as it is."""
        return await self._driver.do(flows.show(self._session, redrive))

    async def wait(
        self,
        redrive: Id,
        *,
        timeout: float | None = None,
        on_progress: OnState[Redrive] | None = None,
    ) -> Redrive:
        """Wait until it has ended. Raises NotFinished after `timeout` seconds.

        `on_progress` is called with the state about once a second, and at the end.
        """
        return await self._driver.do(
            flows.wait(self._session, redrive, timeout=timeout, on_progress=on_progress)
        )

    def list(
        self, *, page_size: int = 200, **filters: Unpack[RedriveListFilter]
    ) -> AsyncIterator[Redrive]:
        """List re-drives, newest first; pages are requested as they are needed."""
        return self._driver.pages(
            lambda cursor: flows.redrives_page(
                self._session, cursor, size=page_size, filters=filters
            )
        )

    async def cancel(self, redrive: Id) -> Redrive:
        """Cancel a re-drive; what it has not tried is free. Raises Conflict if it has ended."""
        return await self._driver.do(flows.cancel(self._session, redrive))
