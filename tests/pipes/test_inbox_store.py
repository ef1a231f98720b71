"""The lag of an inbox is exact, and no statement about an inbox reads all that waits there."""

import msgspec

from app.db import Connection, Pool
from app.pipes.inbox_store import (
    SELECT_INBOX_LAG,
    SELECT_ROWS,
    NewRow,
    erase_inbox,
    forget_events,
    insert_events,
    select_inbox_lag,
)
from app.pipes.store import SELECT_LEFTOVERS, SELECT_PIPE, delete_pipe, select_leftovers
from app.tenants.model import DEFAULT_TENANT
from tests.dead_letters.letters import insert_pipe

# Some 300 pages.
_FILL = """
INSERT INTO pipe_inbox (tenant_id, pipe_id, events, body)
SELECT $1, $2, 1, convert_to(repeat('1', 40), 'UTF8')
FROM generate_series(1, 20000)
"""
_FEW_PAGES = 30


async def _pages_read(conn: Connection, statement: str, *arguments: object) -> int:
    await conn.execute(f"PREPARE planned AS {statement}")
    values = ", ".join(f"'{each}'" for each in arguments)
    [(plan,)] = await conn.fetch(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE planned({values})"
    )
    await conn.execute("DEALLOCATE planned")
    top = msgspec.json.decode(plan)[0]["Plan"]
    return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])


async def test_no_statement_reads_all_that_waits(pool: Pool) -> None:
    async with pool.acquire() as conn:
        full, empty = await insert_pipe(conn, "full"), await insert_pipe(conn, "empty")
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute(_FILL, DEFAULT_TENANT, full)
        await conn.execute("ANALYZE pipe_inbox")
        # A plan for any arguments, as pooled connections come to use.
        await conn.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        read = {}
        for pipe, name in ((full, "full"), (empty, "empty")):
            few = (DEFAULT_TENANT, pipe, "{}", 10, 1_000)
            read[name] = [
                await _pages_read(conn, SELECT_INBOX_LAG, DEFAULT_TENANT, pipe),
                await _pages_read(conn, SELECT_LEFTOVERS, DEFAULT_TENANT, pipe),
                await _pages_read(conn, SELECT_PIPE, DEFAULT_TENANT, name),
                await _pages_read(conn, SELECT_ROWS, *few),
            ]
        await transaction.rollback()

    assert max(*read["full"], *read["empty"]) <= _FEW_PAGES, read


async def test_lag_counts_events_whichever_connection_adds_and_removes_them(pool: Pool) -> None:
    rows = [NewRow(events=3, body=b"1\n2\n3"), NewRow(events=2, body=b"4\n5")]
    async with pool.acquire() as one, pool.acquire() as other:
        pipe, beside = await insert_pipe(one, "p"), await insert_pipe(one, "beside")
        first, second = await insert_events(one, DEFAULT_TENANT, pipe, rows, None)
        await insert_events(other, DEFAULT_TENANT, beside, rows, None)
        seen = [await select_inbox_lag(one, DEFAULT_TENANT, pipe)]
        for whole, part in (((), (first, 2)), ((first,), None)):
            await forget_events(other, DEFAULT_TENANT, pipe, whole=whole, part=part)
            seen.append(await select_inbox_lag(one, DEFAULT_TENANT, pipe))
        left = await select_leftovers(one, DEFAULT_TENANT, pipe)
        assert await erase_inbox(other, DEFAULT_TENANT, pipe, limit=9) == 1
        seen.append(await select_inbox_lag(one, DEFAULT_TENANT, pipe))
        nothing = await select_leftovers(one, DEFAULT_TENANT, pipe)
        await delete_pipe(one, DEFAULT_TENANT, pipe, erase=False)
        counters = await one.fetch("SELECT DISTINCT pipe_id FROM pipe_inbox_counts")

    assert second > first
    assert [each.events for each in seen] == [5, 3, 2, 0]
    assert [each.oldest_seconds is None for each in seen] == [False, False, False, True]
    assert (left.inbox, nothing.inbox) == (True, False)
    assert [each["pipe_id"] for each in counters] == [beside]
