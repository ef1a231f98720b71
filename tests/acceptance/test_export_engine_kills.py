"""Crivo on a Dask cluster that loses a worker exports the rows that it exports by itself."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import pyarrow.parquet as pq  # type: ignore[import-untyped] # has no types

from app.limits import EXPORT_TASK_BYTES
from tests.support.launcher_process import LauncherProcess, eventually, free_port, runs

FILES: Final = 4
# Together more than one task takes. No column has what makes lines long.
LINE_BYTES: Final = 40_000
LINES: Final = EXPORT_TASK_BYTES // LINE_BYTES // FILES + 100
ASKED: Final = {
    "dataset": "events",
    "deduplicate": {"key": "/id", "latest_by": "/at"},
    "partition_by": [{"day": "/at"}, "/kind"],
    "columns": {"id": "/id", "at": "/at", "n": "/n", "odd": "/odd"},
}


def test_a_cluster_that_loses_a_worker_exports_what_crivo_alone_does(tmp_path: Path) -> None:
    with _launched(tmp_path, "dask") as (launched, client):
        client.put("/datasets/events", json={}).raise_for_status()
        for file in range(FILES):
            path = f"/datasets/events/files/{file}.jsonl"
            client.put(path, content=b"".join(_lines(file))).raise_for_status()
        export = _start(client)
        eventually(lambda: _kill_at_work(launched))
        there = _ended(client, export)
        rows = _rows(client, export)
    assert there["receipt"]["engine"] == "dask"
    assert there["receipt"]["attempts"] > there["receipt"]["tasks"] > 3
    with _launched(tmp_path) as (launched, client):
        export = _start(client)
        alone = _ended(client, export)
        assert (alone["receipt"]["engine"], alone["receipt"]["tasks"]) == ("local", 2)
        assert rows == _rows(client, export)
    assert len(rows) == there["rows_out"] == FILES * LINES - there["duplicates"]
    for same in ("columns", "rows_in", "duplicates", "rows_out", "rows_failed", "partitions"):
        assert there[same] == alone[same], same


@contextmanager
def _launched(folder: Path, *command: str) -> Iterator[tuple[LauncherProcess, httpx.Client]]:
    with (
        LauncherProcess(
            folder / "data",
            free_port(),
            command=(sys.executable, "-m", "app.embedded", *command),
            environ={"CRIVO_LEASE_SECONDS": "2", "CRIVO_EXPORT_THREADS": "1"},
        ) as launched,
        httpx.Client(base_url=launched.url, trust_env=False, timeout=60) as client,
    ):
        yield launched.wait_until_ready(), client


def _lines(file: int) -> Iterator[bytes]:
    """Yield lines of which each third has a key of the file before, at the same time or later."""
    pad = "x" * (LINE_BYTES - 100)
    for number in range(LINES):
        id_ = file * LINES + number - (LINES if file and number % 3 == 0 else 0)
        at = f"2021-01-0{number % 3 + 1}T00:00:0{file if number % 2 else 0}Z"
        odd = ("1", '"x"', "null", "[2]")[file]
        yield (
            f'{{"id":{id_},"at":"{at}","kind":"k{number % 2}","n":{file * LINES + number},'
            f'"odd":{odd},"pad":"{pad}"}}\n'
        ).encode()


def _start(client: httpx.Client) -> str:
    answer = client.post("/exports", json=ASKED)
    assert answer.status_code == 202, answer.text
    return str(answer.headers["Location"])


def _kill_at_work(launched: LauncherProcess) -> bool:
    """Kill a Dask worker that runs DuckDB; return whether there was one."""
    for process in launched.processes():
        with suppress(psutil.Error):
            if "dask_worker" in " ".join(process.cmdline()) and _runs_duckdb(process):
                # Once it has stopped, no outcome leaves it.
                process.suspend()
                if _runs_duckdb(process):
                    process.kill()
                    return True
                process.resume()
    return False


def _runs_duckdb(worker: psutil.Process) -> bool:
    return any(
        runs(child) and "app.exports.plan.child" in " ".join(child.cmdline())
        for child in worker.children()
    )


def _ended(client: httpx.Client, export: str) -> dict[str, Any]:
    shown: dict[str, Any] = {}

    def ended() -> bool:
        shown.update(client.get(export).json())
        return shown["finished_at"] is not None

    eventually(ended)
    assert shown["status"] == "succeeded", shown
    return shown


def _rows(client: httpx.Client, export: str) -> list[tuple[object, ...]]:
    """Return the folders and values of all rows."""
    rows: list[tuple[object, ...]] = []
    for file in client.get(f"{export}/manifest").json()["files"]:
        content = client.get(f"{export}/files/{file['path']}").raise_for_status().content
        table = pq.ParquetFile(io.BytesIO(content)).read()
        assert table.num_rows == file["rows"]
        folders = file["path"].rpartition("/")[0]
        rows += [(folders, *row.values()) for row in table.to_pylist()]
    return sorted(rows, key=str)
