"""Acknowledged work is done exactly once, whichever process is killed."""

import asyncio
import hashlib
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import psutil
import pytest
import redis

from tests.support.launcher_process import ROOT, LauncherProcess, eventually, free_port

# Long enough that some run at any time, each with its own output.
SOURCE: Final = """
function process(n) {
  let x = 0;
  for (let i = 0; i < 1e7; i++) x += i % 3;
  return {n, x};
}
"""
# Its executions end while others' outcomes are being recorded.
QUICK: Final = "function process(n) { return {n, x: 9999999} }"
CLIENTS: Final = 3
# So many that submissions, outcomes and reads form groups.
MANY_CLIENTS: Final = 32
LEASE_SECONDS: Final = 2


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LauncherProcess]:
    """One system for all tests, durable as shipped; its launcher restarts what dies."""
    environ = {"CRIVO_LEASE_SECONDS": str(LEASE_SECONDS), "CRIVO_WORKER_SLOTS": "2"}
    with LauncherProcess(
        tmp_path_factory.mktemp("kills") / "data",
        free_port(),
        command=(sys.executable, "-m", "app.embedded"),
        environ=environ,
    ) as running:
        running.wait_until_ready()
        for name, source in (("busy", SOURCE), ("quick", QUICK)):
            answer = httpx.post(
                f"{running.url}/scripts", json={"name": name, "source": source}, trust_env=False
            )
            assert answer.status_code == 201, answer.text
        yield running


class Load:
    """Clients that submit one execution at a time, and retry if a connection breaks."""

    def __init__(self, url: str, *, clients: int, pause_seconds: float, path: str) -> None:
        self.accepted: dict[str, int] = {}
        self.refused: list[str] = []
        self.unavailable = 0
        self._url = url
        self._path = path
        # Clients that wait cannot fill the queue faster than it empties.
        self._headers = {} if pause_seconds else {"Prefer": "wait=10"}
        self._pause_seconds = pause_seconds
        self._numbers = count(1)
        self._stopping = threading.Event()
        self._clients = [threading.Thread(target=self._submit) for _ in range(clients)]

    def start(self) -> None:
        for client in self._clients:
            client.start()

    def stop(self) -> None:
        self._stopping.set()
        for client in self._clients:
            client.join()

    def await_more(self, more: int) -> None:
        enough = len(self.accepted) + more
        eventually(lambda: len(self.accepted) >= enough)

    def _submit(self) -> None:
        with httpx.Client(base_url=self._url, timeout=30, trust_env=False) as client:
            while not self._stopping.wait(self._pause_seconds):
                number = next(self._numbers)
                with suppress(httpx.TransportError):
                    answer = client.post(self._path, content=b"%d" % number, headers=self._headers)
                    if answer.status_code in (200, 202):
                        self.accepted[answer.json()["id"]] = number
                    elif answer.status_code == 503:
                        self.unavailable += 1
                    else:
                        self.refused.append(answer.text)


@contextmanager
def _load(
    url: str,
    *,
    clients: int = CLIENTS,
    pause_seconds: float = 0.1,
    path: str = "/scripts/busy/executions",
) -> Iterator[Load]:
    load = Load(url, clients=clients, pause_seconds=pause_seconds, path=path)
    load.start()
    try:
        yield load
    finally:
        load.stop()


def _kill(process: psutil.Process) -> None:
    process.send_signal(signal.SIGKILL)


def _kill_worker(launched: LauncherProcess) -> None:
    _kill(launched.child("app.worker"))


def _kill_zygote(launched: LauncherProcess) -> None:
    _kill(_zygote(launched))


def _kill_cell(launched: LauncherProcess) -> None:
    cells: list[psutil.Process] = []

    def a_cell_computes() -> bool:
        for cell in _zygote(launched).children():
            with suppress(psutil.NoSuchProcess):
                if cell.cpu_percent(0.05) > 50:
                    cells.append(cell)
        return bool(cells)

    eventually(a_cell_computes)
    with suppress(psutil.NoSuchProcess):
        _kill(cells[0])


def _kill_api(launched: LauncherProcess) -> None:
    _kill(launched.child("app.main"))


def _kill_redis(launched: LauncherProcess) -> None:
    _kill(launched.child("redis"))


def _flush_redis(launched: LauncherProcess) -> None:
    with redis.Redis.from_url(launched.child("app.worker").environ()["REDIS_URL"]) as client:
        client.flushall()


def _kill_postgres(launched: LauncherProcess) -> None:
    _kill(launched.child("postgres"))


def _restart_postgres(launched: LauncherProcess) -> None:
    launched.child("postgres").send_signal(signal.SIGINT)


def _stop_worker_beyond_its_lease(launched: LauncherProcess) -> None:
    sleeper = launched.child("app.worker")
    log = _log(launched)
    # Started by this test, as on another host, to take over.
    with subprocess.Popen(
        [sys.executable, "-m", "app.worker"],
        env=sleeper.environ(),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as other:
        try:
            known = _losses(log)

            def a_loss_is_noticed() -> bool:
                sleeper.suspend()
                # A report that it sent earlier may still be committed.
                time.sleep(0.5)
                held = asyncio.run(_held_by(sleeper))
                finished = {each: _finished(launched.url, each) for each in held}
                assert {each["receipt"]["attempts"] for each in finished.values()} <= {1, 2}
                sleeper.resume()
                # Its late reports are refused, which nothing but its log tells; the wait only
                # gives it the time. There are none of what it had not begun, had sent a report
                # of, or had claimed without having been told yet: then once more.
                time.sleep(LEASE_SECONDS)
                assert {each: _finished(launched.url, each) for each in held} == finished
                return _losses(log) > known

            eventually(a_loss_is_noticed)
        finally:
            sleeper.resume()
            other.terminate()


async def _held_by(worker: psutil.Process) -> list[str]:
    connection = await asyncpg.connect(worker.environ()["DATABASE_URL"])
    try:
        rows = await connection.fetch(
            "SELECT e.id::text FROM executions AS e "
            "JOIN workers AS w ON w.id = e.worker_id WHERE e.status = 'running' AND w.pid = $1",
            worker.pid,
        )
    finally:
        await connection.close()
    return [row["id"] for row in rows]


def _losses(log: Path) -> int:
    text = log.read_text(errors="replace")
    return text.count('"execution.lease_lost"') + text.count('"execution.late_report_refused"')


def _zygote(launched: LauncherProcess) -> psutil.Process:
    found: list[psutil.Process] = []

    def appears() -> bool:
        with suppress(psutil.NoSuchProcess):
            found.extend(
                child
                for child in launched.child("app.worker").children()
                if "app.sandbox.zygote" in " ".join(child.cmdline())
            )
        return bool(found)

    eventually(appears)
    return found[0]


VICTIMS: Final[dict[str, Callable[[LauncherProcess], None]]] = {
    "worker": _kill_worker,
    "zygote": _kill_zygote,
    "cell": _kill_cell,
    "api": _kill_api,
    "redis": _kill_redis,
    "redis_flushed": _flush_redis,
    "postgres": _kill_postgres,
    "postgres_restarted": _restart_postgres,
    "worker_stopped": _stop_worker_beyond_its_lease,
}


@pytest.mark.parametrize("victim", VICTIMS)
def test_acknowledged_work_is_done_once_whatever_dies(
    launched: LauncherProcess, victim: str
) -> None:
    with _load(launched.url) as load:
        load.await_more(20)
        VICTIMS[victim](launched)
        load.await_more(20)

    _require_done_once(launched, load, victim)


# API and PostgreSQL are killed with groups under way by test_killed_submissions.py.
def test_acknowledged_work_is_done_once_in_groups(launched: LauncherProcess) -> None:
    path = "/scripts/quick/executions"
    with _load(launched.url, clients=MANY_CLIENTS, pause_seconds=0, path=path) as load:
        load.await_more(100)
        _kill_worker(launched)
        load.await_more(100)

    finished = _require_done_once(launched, load, "worker")
    # Rows that one statement accepted share their moment.
    moments = Counter(each["created_at"] for each in finished.values())
    assert max(moments.values()) > 1


def _require_done_once(
    launched: LauncherProcess, load: Load, victim: str
) -> dict[str, dict[str, Any]]:
    assert load.refused == []
    # While PostgreSQL is away nothing is acknowledged.
    assert load.unavailable == 0 or victim.startswith("postgres")
    finished = {each: _finished(launched.url, each) for each in load.accepted}
    for each, number in load.accepted.items():
        _require_coherent(finished[each], number)
    ended = Counter(
        line.partition('"id":')[2][:40]
        for line in _log(launched).read_text(errors="replace").splitlines()
        if '"execution.finished"' in line
    )
    assert [line for line, times in ended.items() if times > 1] == []
    return finished


def test_a_rolling_restart_causes_no_error_for_clients_that_reconnect(
    launched: LauncherProcess,
) -> None:
    with _load(launched.url) as load:
        load.await_more(10)
        for part in ("app.main", "app.worker"):
            launched.child(part).terminate()
            load.await_more(20)

    assert (load.refused, load.unavailable) == ([], 0)
    for each, number in load.accepted.items():
        finished = _finished(launched.url, each)
        _require_coherent(finished, number)
        # Running work ended within the grace period, or was released, which counts no attempt.
        assert finished["receipt"]["attempts"] == 1


def _require_coherent(execution: dict[str, Any], number: int) -> None:
    assert execution["status"] == "succeeded", execution
    assert execution["result"] == {"n": number, "x": 9_999_999}
    receipt = execution["receipt"]
    data, output = b"%d" % number, b'{"n":%d,"x":9999999}' % number
    assert receipt["input"] == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    assert receipt["output"] == {
        "sha256": hashlib.sha256(output).hexdigest(),
        "bytes": len(output),
    }
    assert 1 <= receipt["attempts"] <= 3
    assert receipt["created_at"] <= receipt["started_at"] <= receipt["finished_at"]
    assert 0 < receipt["run_ms"] <= receipt["lead_ms"]


def _finished(url: str, execution_id: str) -> dict[str, Any]:
    """Wait for the end, with retries."""
    found: list[dict[str, Any]] = []

    def ended() -> bool:
        with suppress(httpx.TransportError):
            answer = httpx.get(
                f"{url}/executions/{execution_id}",
                params={"wait": 10},
                timeout=30,
                trust_env=False,
            )
            if answer.status_code == 200 and answer.json()["finished_at"]:
                found.append(answer.json())
        return bool(found)

    eventually(ended)
    return found[0]


def _log(launched: LauncherProcess) -> Path:
    return Path(launched.child("app.worker").environ()["CRIVO_DATA"]) / "log" / "worker.log"
