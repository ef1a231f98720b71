"""Exports lose their worker, DuckDB and PostgreSQL: nothing is half published, nothing is left."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import httpx
import psutil
import pytest

from app.blobs import open_blobs
from app.db import open_pool
from app.exports.retention import EXPORT_OWNER
from app.payloads.retention import delete_orphans
from app.settings import Settings
from tests.support.launcher_process import LauncherProcess, eventually, free_port

# Seconds of work for DuckDB.
_ROWS: Final = 250_000
_ASKED: Final = {
    "dataset": "events",
    "deduplicate": {"key": "/id", "latest_by": "/at"},
    "partition_by": [{"day": "/at"}],
}


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[LauncherProcess]:
    """A system whose launcher restarts what dies."""
    with LauncherProcess(
        tmp_path / "data",
        free_port(),
        command=(sys.executable, "-m", "app.embedded"),
        environ={"CRIVO_LEASE_SECONDS": "2", "CRIVO_EXPORT_THREADS": "1"},
    ) as running:
        yield running.wait_until_ready()


def test_kills_leave_exports_whole_and_no_orphan(launched: LauncherProcess, tmp_path: Path) -> None:
    with httpx.Client(base_url=launched.url, trust_env=False, timeout=60) as client:
        _put_events(client)
        for kill in (_kill_worker, _kill_duckdb, _restart_postgres):
            export = _start(client)
            _kill_at_work(launched, kill)
            shown = _ended(client, export)
            assert shown["status"] == "succeeded", shown
            assert (shown["rows_in"], shown["duplicates"]) == (_ROWS, _ROWS // 5)
            assert (shown["rows_out"], shown["files"]) == (_ROWS - _ROWS // 5, 28)
            # The task has run again, and no other; an outage costs no attempt.
            again = kill is not _restart_postgres
            assert shown["receipt"]["attempts"] == shown["receipt"]["tasks"] + again
        cancelled = _start(client)
        _kill_at_work(launched, lambda _: client.post(f"{cancelled}/cancel"))
        eventually(lambda: _duckdb_of(launched) is None)
    asyncio.run(_require_nothing_left(launched.child("app.worker").environ(), tmp_path / "data"))


def _put_events(client: httpx.Client) -> None:
    """Publish events of which each fifth is there again, later."""
    rows = (n if n % 5 else n + 1 for n in range(_ROWS))
    lines = (
        f'{{"id":{n},"at":"2021-02-{n % 28 + 1:02}T00:00:0{at % 10}Z","at_line":{at}}}'
        for at, n in enumerate(rows)
    )
    assert client.put("/datasets/events", json={}).status_code == 201
    content = "\n".join(lines)
    answer = client.put("/datasets/events/files/a.jsonl", content=content)
    assert answer.status_code in (200, 201), answer.text


def _start(client: httpx.Client) -> str:
    answer = client.post("/exports", json=_ASKED)
    assert answer.status_code == 202, answer.text
    return str(answer.headers["Location"])


def _ended(client: httpx.Client, export: str) -> dict[str, Any]:
    shown: dict[str, Any] = {}

    def ended() -> bool:
        with suppress(httpx.TransportError, json.JSONDecodeError):
            shown.update(client.get(export).json())
        return shown.get("finished_at") is not None

    eventually(ended)
    return shown


def _kill_at_work(launched: LauncherProcess, kill: Callable[[LauncherProcess], object]) -> None:
    """Kill once DuckDB has begun to write files."""
    folder = Path(launched.child("app.worker").environ()["CRIVO_DATA"]) / "exports"
    eventually(lambda: any(folder.glob("*/*/spill/*")) or any(folder.glob("*/*/out/*")))
    kill(launched)


def _kill_worker(launched: LauncherProcess) -> None:
    launched.child("app.worker").send_signal(signal.SIGKILL)


def _kill_duckdb(launched: LauncherProcess) -> None:
    found = _duckdb_of(launched)
    assert found is not None
    found.kill()


def _restart_postgres(launched: LauncherProcess) -> None:
    launched.child("postgres").send_signal(signal.SIGINT)


def _duckdb_of(launched: LauncherProcess) -> psutil.Process | None:
    for process in launched.child("app.worker").children():
        with suppress(psutil.Error):
            if any("app.exports.plan.child" in word for word in process.cmdline()):
                return process
    return None


async def _require_nothing_left(environ: dict[str, str], data: Path) -> None:
    settings = Settings(database_url=environ["DATABASE_URL"], blob_url=environ["BLOB_URL"])
    blobs = open_blobs(settings)
    async with open_pool(settings) as pool:
        await delete_orphans(pool, blobs, (EXPORT_OWNER,), min_age=timedelta(seconds=-60))
        rows = await pool.fetch("SELECT export_id, published, blob_key FROM export_files")
    assert all(row["published"] for row in rows)
    assert len(rows) == 3 * 28
    assert blobs.folder is not None
    kept = {f"{path.relative_to(blobs.folder)}" for path in blobs.folder.glob("*/exports/*")}
    assert kept == {row["blob_key"] for row in rows}
    assert list((data / "exports").glob("*/*")) == []
    # Of each pair the later line counts, which is no fifth.
    for export in {row["export_id"] for row in rows}:
        keys = [row["blob_key"] for row in rows if row["export_id"] == export]
        paths = [str(blobs.folder / key) for key in keys]
        found = duckdb.execute("SELECT sum(at_line) FROM read_parquet(?)", [paths]).fetchone()
        assert found == (sum(n for n in range(_ROWS) if n % 5),)
