"""The inbox as a source holds few events in memory, however many wait in the database."""

from types import SimpleNamespace
from typing import cast

from msgspec.json import encode

from app.db import Pool
from app.pipes import inbox_store
from app.pipes.connectors.inbox import InboxSource
from app.pipes.inbox_store import NewRow
from app.pipes.store import load_pipe
from app.resources import Resources
from app.tenants.model import DEFAULT_TENANT
from tests.dead_letters.letters import insert_pipe

_EVENT_BYTES = 10_000
_ROW_EVENTS = 10


async def test_no_more_is_fetched_while_enough_waits(pool: Pool) -> None:
    line = encode("x" * (_EVENT_BYTES - 2))
    row = NewRow(events=_ROW_EVENTS, body=b"\n".join([line] * _ROW_EVENTS))
    async with pool.acquire() as conn:
        pipe_id = await insert_pipe(conn)
        await inbox_store.insert_events(conn, DEFAULT_TENANT, pipe_id, [row] * 40, None)
        pipe = await load_pipe(conn, DEFAULT_TENANT, pipe_id)
    assert pipe is not None
    source = InboxSource(cast("Resources", SimpleNamespace(pool=pool)), pipe)
    max_bytes = len(row.body)
    for _ in range(12):
        assert await source.receive(max_events=500, max_bytes=max_bytes // 5, wait_seconds=0)

    await pool.execute("DELETE FROM pipe_inbox")

    held = await source.receive(max_events=500, max_bytes=2**30, wait_seconds=0)
    assert len(held) < 2 * _ROW_EVENTS
