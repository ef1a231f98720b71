"""Deliver callbacks within the test's process, to receivers on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from msgspec.structs import replace

from app.background import background
from app.callbacks import store
from app.callbacks.delivery.deliverer import Deliverer
from app.callbacks.model import Callback, CallbackStatus
from app.db import Pool
from app.egress.client import open_egress_client
from app.egress.policy import callback_policy
from app.egress.resolver import Resolver
from app.settings import Settings
from tests.support.queues import Queues

_TIMEOUT_SECONDS = 30


class Deliveries:
    """Executions with callbacks, and a deliverer that runs for the length of a block."""

    def __init__(self, pool: Pool, settings: Settings) -> None:
        self.pool = pool
        self.queues = Queues(pool)
        self.settings = replace(
            settings, callback_http=True, callback_private_networks="127.0.0.0/8"
        )

    @asynccontextmanager
    async def running(self, *, resolver: Resolver | None = None) -> AsyncIterator[None]:
        async with open_egress_client(
            callback_policy(self.settings),
            connections=self.settings.callback_slots,
            resolver=resolver,
        ) as client:
            deliverer = Deliverer(self.pool, self.settings, client)
            async with background(deliverer.deliver_forever()):
                yield

    async def ended(self, url: str, *, tenant: UUID | None = None, count: int = 1) -> list[UUID]:
        """End executions with that callback URL; return their ids."""
        tenant = tenant or await self.queues.tenant()
        ids = await self.queues.accept(tenant, count, callback_url=url)
        for claim in await self.queues.claim(count):
            assert await self.queues.finish(claim) is not None
        return ids

    async def callback(self, execution_id: UUID) -> Callback:
        """Return the only callback of an execution."""
        tenant = await self.pool.fetchval(
            "SELECT tenant_id FROM executions WHERE id = $1", execution_id
        )
        async with self.pool.acquire() as conn:
            [callback] = await store.select_callbacks(conn, tenant, "execution", execution_id)
        return callback

    async def reaches(
        self, execution_id: UUID, status: CallbackStatus, *, attempts: int = 1
    ) -> Callback:
        """Wait until the callback has a status, and so many attempts or more."""
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            while True:
                callback = await self.callback(execution_id)
                if callback.status is status and len(callback.attempts) >= attempts:
                    return callback
                await asyncio.sleep(0.02)

    async def make_due(self, *, tries: int | None = None, unrecorded: int | None = None) -> None:
        """Make every pending callback due now, after so many tries and attempts without record."""
        await self.pool.execute(
            """
            UPDATE callbacks
            SET next_attempt_at = now(), tries = coalesce($1, tries),
                unrecorded = coalesce($2, unrecorded)
            WHERE status = 'pending'
            """,
            *(tries, unrecorded),
        )
