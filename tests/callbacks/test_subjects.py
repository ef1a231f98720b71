"""A further kind of resource takes part in callbacks by the steps that the design page shows."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest
from msgspec import Struct

from app.callbacks import service
from app.callbacks.model import Callback, CallbackStatus, Message
from app.callbacks.subjects import SUBJECTS, Subject
from app.db import Connection, Pool
from app.settings import Settings
from tests.callbacks.deliveries import Deliveries
from tests.support.receivers import Receiver, open_receiver

PAGE: Final = Path(__file__).parents[2] / "docs" / "design" / "callbacks.md"
THING: Final = UUID("01900000-0000-7000-8000-000000000001")
TABLE: Final = "CREATE TABLE things (id uuid, tenant_id uuid, finished_at timestamptz, n integer)"


class EndedThing(Struct, frozen=True):
    """What a message says about a thing."""

    id: UUID
    items: int


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with open_receiver() as receiver:
        yield receiver


@pytest.fixture(autouse=True)
async def _no_things_left(pool: Pool) -> AsyncIterator[None]:
    """Drop the test's table: later tests use the same database."""
    yield
    await pool.execute("DROP TABLE IF EXISTS things")


async def _require(_: Connection, tenant: UUID, thing: UUID) -> None:
    raise AssertionError(tenant, thing)


async def _message(conn: Connection, tenant: UUID, thing: UUID) -> Message | None:
    items = await conn.fetchval(
        "SELECT n FROM things WHERE tenant_id = $1 AND id = $2", tenant, thing
    )
    data = EndedThing(thing, items)
    return Message(type="batch.finished", timestamp=datetime.now(UTC), data=data)


async def test_a_further_kind_of_resource_takes_part_as_the_page_says(
    pool: Pool, settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(SUBJECTS, "batch")
    deliveries = Deliveries(pool, settings)
    tenant = await deliveries.queues.tenant()
    things = Subject(name="batch", path="/things", require=_require, read_message=_message)
    [shown] = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    await pool.execute(f"{TABLE}; {shown.replace('batches', 'things')}")
    await pool.execute(
        "INSERT INTO things (id, tenant_id, n, callback_url) VALUES ($1, $2, 7, $3)",
        *(THING, tenant, f"http://127.0.0.1:{receiver.port}/ok"),
    )

    await pool.execute("UPDATE things SET finished_at = now()")

    [execution] = await deliveries.ended(f"http://127.0.0.1:{receiver.port}/ok", tenant=tenant)
    async with deliveries.running():
        await deliveries.reaches(execution, CallbackStatus.DELIVERED)
    # Without an entry, a process leaves it alone.
    assert await pool.fetchval("SELECT tries FROM callbacks WHERE subject = 'batch'") == 0
    monkeypatch.setitem(SUBJECTS, "batch", things)
    async with deliveries.running():
        async with asyncio.timeout(30):
            while True:
                if await _status(pool, tenant, things) == [CallbackStatus.DELIVERED]:
                    break
                await asyncio.sleep(0.02)
    sent = json.loads(receiver.received[-1].body)
    assert (sent["type"], sent["data"]) == ("batch.finished", {"id": str(THING), "items": 7})

    await pool.execute("DELETE FROM things")
    assert await pool.fetchval("SELECT count(*) FROM callbacks WHERE subject = 'batch'") == 0
    assert await pool.fetchval("SELECT count(*) FROM callbacks") == 1


async def _status(pool: Pool, tenant: UUID, subject: Subject) -> list[CallbackStatus]:
    async with pool.acquire() as conn:
        found: list[Callback] = await service.list_callbacks(conn, tenant, subject, THING)
    return [each.status for each in found]
