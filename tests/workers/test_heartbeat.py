"""A worker renews its heartbeat, whatever its lease is."""

import asyncio
from datetime import datetime

import msgspec
import pytest

from app.db import Pool
from app.executions.dispatch import dispatcher as dispatch
from app.executions.dispatch.dispatcher import Dispatcher
from app.limits import WORKER_TIMEOUT_SECONDS
from app.resources import open_resources
from app.settings import Settings


async def test_a_worker_with_long_leases_renews_its_heartbeat(
    pool: Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One heartbeat can be late or lost.
    assert 2 * dispatch._UNSEEN_SECONDS < WORKER_TIMEOUT_SECONDS
    monkeypatch.setattr(dispatch, "_UNSEEN_SECONDS", 0.02)
    choices = msgspec.structs.replace(settings, lease_seconds=3_600)
    async with open_resources(choices, cells=1) as resources:
        dispatcher = Dispatcher(resources, slots=1)
        working = asyncio.create_task(dispatcher.run_until_stopped())
        seen: set[datetime | None] = set()
        async with asyncio.timeout(30):
            # It sends two at its start: by itself, and when it begins to listen.
            while len(seen) < 5:
                seen.add(await pool.fetchval("SELECT seen_at FROM workers"))
                await asyncio.sleep(0.01)
        dispatcher.stop()
        await working

    assert await pool.fetchval("SELECT count(*) FROM workers") == 0
