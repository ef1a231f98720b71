"""A worker that is alive is seen to be alive, whatever its settings."""

import asyncio
from datetime import datetime

import msgspec
import pytest

from app.db import Pool
from app.executions.dispatch import heartbeat
from app.limits import WORKER_TIMEOUT_SECONDS
from app.resources import open_resources
from app.settings import Settings
from tests.executions.dispatch.workers import open_dispatcher


async def test_a_worker_with_long_leases_is_seen_repeatedly(
    pool: Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One heartbeat may be late or lost.
    assert 2 * heartbeat.MAX_INTERVAL_SECONDS < WORKER_TIMEOUT_SECONDS
    monkeypatch.setattr(heartbeat, "MAX_INTERVAL_SECONDS", 0.02)
    long_leases = msgspec.structs.replace(settings, lease_seconds=3_600)
    async with open_resources(long_leases, cells=1) as resources, open_dispatcher(resources):
        seen: set[datetime | None] = set()
        async with asyncio.timeout(30):
            # The start alone accounts for two: the first beat, and one as listening begins.
            while len(seen) < 5:
                seen.add(await pool.fetchval("SELECT seen_at FROM workers"))
                await asyncio.sleep(0.01)

    assert await pool.fetchval("SELECT count(*) FROM workers") == 0
