"""A response gives back its resources when its request ends, however it ends."""

import asyncio
import gc
from collections.abc import AsyncGenerator
from typing import Any, Final, cast

import asyncpg
import pytest
from litestar import Request
from litestar.types import Receive, Scope, Send

from app.exports.file_store import SELECT_PAGE
from app.http.reauthorization import closed_with, reauthorized
from tests.exports.stored_exports import StoredFile, stored
from tests.support.raw_connections import connected
from tests.support.system import System

_WAITING: Final = """
SELECT pid
FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query = $1
"""
_IN_TRANSACTION: Final = "SELECT xact_start IS NOT NULL FROM pg_stat_activity WHERE pid = $1"


async def test_chunks_are_closed_although_their_sender_raised() -> None:
    held: list[AsyncGenerator[bytes, None]] = []

    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b"1"
        yield b"2"

    async def sends(scope: Scope, _receive: Receive, _send: Send) -> None:
        body = closed_with(Request(cast("Any", scope)), chunks())
        held.append(body)
        assert await anext(body) == b"1"
        raise ConnectionResetError

    scope: Any = {"type": "http", "method": "GET", "path": "/", "headers": [], "state": {}}
    gc.disable()
    try:
        with pytest.raises(ConnectionResetError):
            await reauthorized(sends)(scope, _unused, _unused)
        assert await anext(held[0], b"closed") == b"closed"
    finally:
        gc.enable()


async def test_a_client_that_breaks_off_leaves_no_transaction_open(system: System) -> None:
    files = [StoredFile(name="a.parquet")]
    address = await asyncio.to_thread(stored, system, files=files)
    request = f"GET {address}/manifest HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    locking = await asyncpg.connect(system.environ["DATABASE_URL"])
    watching = await asyncpg.connect(system.environ["DATABASE_URL"])
    try:
        async with locking.transaction(), asyncio.timeout(60):
            await locking.execute("LOCK TABLE export_files")
            with connected(system.port) as client:
                client.sendall(request.encode())
                while (pid := await watching.fetchval(_WAITING, SELECT_PAGE)) is None:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.01)
            while await watching.fetchval(_IN_TRANSACTION, pid):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
    finally:
        await locking.close()
        await watching.close()

    assert "active transaction" not in system.logs_of_process("app.main")


async def _unused(*_: object) -> Any:  # noqa: ANN401 - it stands for receive and send
    raise AssertionError
