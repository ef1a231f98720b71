"""Retention deletes what an API leaves that is killed during an upload."""

import os
import signal
import socket
from datetime import timedelta
from pathlib import Path

from app.blobs import open_blobs
from app.db import open_pool
from app.executions.retention import PAYLOAD_OWNER
from app.payloads.retention import delete_orphans
from app.settings import Settings
from tests.support.system import System, until


async def test_retention_deletes_what_a_killed_api_leaves(stopped_system: System) -> None:
    system = stopped_system
    system.start_api()
    system.await_api()
    system.upload("cut", "const process = data => data")
    with socket.create_connection(("127.0.0.1", system.port)) as connection:
        connection.sendall(
            b"POST /scripts/cut/executions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 10000000\r\n\r\n" + b"1" * 5_000_000
        )
        for _ in until("a part of it has reached the store"):
            if _files(system):
                break
        assert system.api is not None
        os.kill(system.api.pid, signal.SIGKILL)
        system.api.wait()
    assert _files(system) != []

    settings = Settings(
        database_url=system.environ["DATABASE_URL"], blob_url=system.environ["BLOB_URL"]
    )
    async with open_pool(settings) as pool:
        assert await pool.fetchval("SELECT count(*) FROM executions") == 0
        assert (
            await delete_orphans(
                pool, open_blobs(settings), [PAYLOAD_OWNER], min_age=timedelta(seconds=-1)
            )
            == 1
        )

    assert _files(system) == []


def _files(system: System) -> list[Path]:
    found = [path for path in (system.folder / "blobs").rglob("*") if path.is_file()]
    return [path for path in found if path.name != "installation"]
