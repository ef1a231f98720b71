"""A killed API leaves nothing of an upload; a killed worker loses and doubles no item."""

import json
import os
import signal
import socket
from pathlib import Path
from typing import Final

from app.batches.retention import BATCH_OWNER
from app.batches.staging_store import delete_abandoned
from app.blobs import open_blobs
from app.db import open_pool
from app.payloads.retention import delete_unreferenced
from app.settings import Settings
from tests.support.system import System, stop, until

LEFT: Final = """
SELECT (SELECT count(*) FROM batches) + (SELECT count(*) FROM executions)
       + (SELECT count(*) FROM payloads) + (SELECT count(*) FROM queue)
"""
NDJSON: Final = {"Content-Type": "application/x-ndjson"}
# Long enough to be killed in the middle, short enough that outcomes are recorded together.
BUSY: Final = "function process(n) { let x = 0; for (let i = 0; i < 1e6; i++) x += i; return n }"


async def test_nothing_is_left_of_an_upload_whose_api_is_killed(stopped_system: System) -> None:
    system = stopped_system
    system.start_api()
    system.await_api()
    system.upload("cut", "const process = data => data")
    settings = Settings(
        database_url=system.environ["DATABASE_URL"], blob_url=system.environ["BLOB_URL"]
    )
    async with open_pool(settings) as pool:
        with socket.create_connection(("127.0.0.1", system.port)) as connection:
            connection.sendall(
                b"POST /batches?script=cut HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/x-ndjson\r\nContent-Length: 10000000\r\n\r\n"
                + b"1" * 2**21
                + b"\n"
                + b"2\n" * 2_000
            )
            for _ in until("a part of it is staged"):
                if await pool.fetchval("SELECT count(*) FROM batch_inputs") > 1:
                    break
            assert system.api is not None
            os.kill(system.api.pid, signal.SIGKILL)
            system.api.wait()
        assert len(_files(system)) == 1

        assert await pool.fetchval(LEFT) == 0
        async with pool.acquire() as conn:
            swept = await delete_abandoned(conn, 0, 10)
        await delete_unreferenced(pool, open_blobs(settings), BATCH_OWNER, swept.blob_keys)

        assert await pool.fetchval("SELECT count(*) FROM batch_inputs") == 0
    assert _files(system) == []


def test_no_item_is_lost_or_doubled_when_workers_are_killed(stopped_system: System) -> None:
    system = stopped_system.start()
    system.upload("busy", BUSY)
    body = "\n".join(str(n) for n in range(600))
    answer = system.client.post("/batches?script=busy", content=body, headers=NDJSON)
    location = answer.headers["Location"]

    for share in (0.1, 0.5):
        for _ in until(f"{share:.0%} have ended"):
            if system.client.get(location).json()["progress"] >= share:
                break
        worker = system.workers.pop()
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        system.start_worker()
    batch = system.finished(location)

    assert batch["counts"] == {
        "queued": 0, "running": 0, "succeeded": 600, "failed": 0, "cancelled": 0,
    }  # fmt: skip
    lines = system.client.get(f"{location}/results").text.splitlines()
    results = [json.loads(line) for line in lines]
    assert [(each["line"], each["result"]) for each in results] == [(n + 1, n) for n in range(600)]
    assert len({each["id"] for each in results}) == 600
    stop(system.workers.pop())


def _files(system: System) -> list[Path]:
    found = [path for path in (system.folder / "blobs").rglob("*") if path.is_file()]
    return [path for path in found if path.name != "installation"]
