"""Claims whose release failed are released once PostgreSQL is back."""

import asyncio
from uuid import UUID

import pytest

from app.db import Pool
from app.executions.dispatch import claims
from app.executions.dispatch.releaser import Releaser
from app.executions.dispatch.running_claims import RunningClaim
from app.executions.model import Claim, Status
from app.outages import DatabaseUnavailable
from app.resources import open_resources
from app.settings import Settings
from tests.support.queues import Queues


async def test_concurrent_retries_release_every_claim(
    pool: Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heartbeat and the resync of a topic retry at the same time after an outage."""
    queues = Queues(pool)
    tenant = await queues.tenant()
    ids = await queues.accept(tenant, 3)
    claimed = await queues.claim(3)
    started = asyncio.get_running_loop().time()
    real_release = claims.release

    async def unavailable(_conn: object, _claim: Claim, *, counted: bool) -> bool:
        assert not counted
        raise DatabaseUnavailable(reason="an outage")

    async with open_resources(settings, cells=1) as resources:
        releaser = Releaser(resources)
        monkeypatch.setattr(claims, "release", unavailable)
        for claim in claimed:
            await releaser.release(RunningClaim(claim, started=started, on_recording=lambda: None))
        with pytest.raises(DatabaseUnavailable):
            await releaser.retry()
        assert await _statuses(queues, ids) == {Status.RUNNING}

        monkeypatch.setattr(claims, "release", real_release)
        await asyncio.gather(releaser.retry(), releaser.retry())

    assert await _statuses(queues, ids) == {Status.QUEUED}


async def _statuses(queues: Queues, ids: list[UUID]) -> set[Status]:
    return {await queues.status(each) for each in ids}
