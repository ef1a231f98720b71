"""Whatever is killed, an execution that was handed over is run once and soon, and loses nothing."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest

from app.embedded.processes import await_ready, spawn, stop as stop_services
from app.embedded.servers import prepare_redis
from tests.support.servers import Databases, Servers, execute, redis_database
from tests.support.system import System, open_system, until

IDENTITY: Final = "function process(data) { return data }"
BUSY: Final = "function process(d) { let x = 0; for (let i = 0; i < 2e8; i++) x += i; return d }"
# Longer than a test: what returns has not waited for it.
LEASE_SECONDS: Final = 300
_WAIT: Final = {"Prefer": "wait=60"}

ROW: Final = """
SELECT status || ' ' || attempts || ' ' || coalesce(worker_id::text, '') || ' '
       || coalesce(lease_token::text, '')
FROM executions WHERE id = '{}'
"""
STALE_OFFER: Final = """
INSERT INTO slot_offers (worker_id, slot, expires_at)
SELECT id, 9, now() + interval '1 hour' FROM workers
"""
OPEN_OFFERS: Final = "SELECT count(*) FROM slot_offers WHERE expires_at > now()"


@pytest.fixture
def running(stopped_system: System) -> System:
    """An API and a worker with one slot, which is on offer; the test may kill them."""
    return _start(stopped_system)


@pytest.fixture(scope="module")
def started(
    databases: Databases, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("handing-over")
    with (
        databases.migrated() as database_url,
        redis_database(servers) as redis_url,
        open_system(database_url=database_url, redis_url=redis_url, folder=folder) as system,
    ):
        yield _start(system)


@pytest.fixture
def shared(started: System) -> System:
    """The same for tests that leave it as it is; the slot is on offer again."""
    _await_offer(started)
    return started


def test_a_handed_over_execution_is_not_claimed(shared: System) -> None:
    frozen = shared.workers[0]
    os.kill(frozen.pid, signal.SIGSTOP)
    location = shared.submit("same", b"[1]")
    try:
        assert _row(shared, location)[:2] == ["running", "0"]
        assert _value(shared, "SELECT count(*) FROM queue") == 0
    finally:
        os.kill(frozen.pid, signal.SIGCONT)

    execution = shared.finished(location)
    assert (execution["status"], execution["result"]) == ("succeeded", [1])
    assert execution["attempts"] == 1


def test_a_waiting_client_gets_the_result(shared: System) -> None:
    answer = shared.client.post("/scripts/same/executions", content=b"[2]", headers=_WAIT)

    assert (answer.status_code, answer.json()["result"]) == (200, [2])
    assert answer.json()["attempts"] == 1
    assert answer.content == shared.client.get(answer.headers["Location"]).content


def test_an_execution_of_a_killed_worker_returns_before_its_lease_and_uncounted(
    running: System,
) -> None:
    killed = running.workers[0]
    os.kill(killed.pid, signal.SIGSTOP)
    location = running.submit("same", b"[3]")
    assert _row(running, location)[:2] == ["running", "0"]
    # Only now: a new worker rescues nothing at first, since those alive may have to renew.
    killed.kill()
    killed.wait()
    _start_worker(running, CRIVO_LEASE_SECONDS="2")

    execution = running.finished(location)

    assert (execution["status"], execution["attempts"]) == ("succeeded", 1)


def test_an_offer_of_a_killed_worker_costs_no_attempt(running: System) -> None:
    _start_worker(running)
    for _ in until("both slots are on offer"):
        if _value(running, OPEN_OFFERS) == 2:
            break
    running.workers[0].kill()
    running.workers[0].wait()

    locations = [running.submit("same", b"[4]") for _ in range(6)]

    for location in locations:
        execution = running.finished(location)
        assert (execution["status"], execution["attempts"]) == ("succeeded", 1)


def test_an_api_killed_after_the_commit_costs_nothing(running: System) -> None:
    worker = running.workers[0]
    os.kill(worker.pid, signal.SIGSTOP)
    location = running.submit("same", b"[5]")
    assert running.api is not None
    running.api.kill()
    running.api.wait()
    os.kill(worker.pid, signal.SIGCONT)

    # The commit itself has notified the worker.
    for _ in until("it has been run"):
        if _row(running, location)[:2] == ["succeeded", "1"]:
            break


def test_hand_overs_need_no_redis(stopped_system: System, tmp_path: Path) -> None:
    server, url = prepare_redis(tmp_path)
    process = spawn(server)
    await_ready([(server, process)])
    try:
        stopped_system.environ["REDIS_URL"] = url
        running = _start(stopped_system)
    finally:
        stop_services([(server, process)])
    frozen = running.workers[0]
    os.kill(frozen.pid, signal.SIGSTOP)
    location = running.submit("same", b"[6]")
    try:
        assert _row(running, location)[:2] == ["running", "0"]
    finally:
        os.kill(frozen.pid, signal.SIGCONT)

    assert running.finished(location)["attempts"] == 1


def test_a_duplicated_hand_over_runs_once(shared: System) -> None:
    frozen = shared.workers[0]
    os.kill(frozen.pid, signal.SIGSTOP)
    location = shared.submit("busy", b"[7]")
    _, _, worker, token = _row(shared, location)
    sent = f"{_id(location)} {token}"
    for _ in range(5):
        _notify(shared, UUID(worker).hex, sent)
    os.kill(frozen.pid, signal.SIGCONT)

    execution = shared.finished(location)
    _notify(shared, UUID(worker).hex, sent)
    again = shared.run("same", b"[8]")

    assert (execution["status"], execution["attempts"]) == ("succeeded", 1)
    assert (again["status"], again["attempts"]) == ("succeeded", 1)
    assert "late_report" not in shared.logs_of_process("app.worker")
    assert _times_reported(shared, _id(location)) == 1


def test_a_hand_over_of_nothing_changes_nothing(shared: System) -> None:
    worker = _value(shared, "SELECT id FROM workers").hex

    for payload in ("", "x", "1 2", f"{UUID(int=1)}", f"{UUID(int=1)} 5", "a b c",
                    f"{UUID(int=1)} {10**20}"):  # fmt: skip
        _notify(shared, worker, payload)

        assert shared.run("same", b"[9]")["status"] == "succeeded", payload


def test_a_hand_over_without_a_free_slot_goes_back_to_the_queue(running: System) -> None:
    running.upload("endless", "function process(data) { for (;;); }")
    busy = running.submit("endless", b"null", wall_ms=60_000)
    for _ in until("it runs"):
        if _row(running, busy)[:2] == ["running", "1"]:
            break
    # As if an offer had been renewed while a hand-over was on its way.
    execute(running.environ["DATABASE_URL"], STALE_OFFER)
    location = running.submit("same", b"[11]")

    for _ in until("it is queued"):
        state = _row(running, location)[:2]
        assert state != ["running", "1"]
        if state == ["queued", "0"]:
            break
    running.client.post(f"{busy}/cancel")
    assert running.finished(location)["attempts"] == 1


def test_a_worker_that_stops_leaves_no_offer_and_no_execution(running: System) -> None:
    worker = running.workers[0]
    os.kill(worker.pid, signal.SIGSTOP)
    location = running.submit("same", b"[10]")
    # Both wait for it to go on, in this order or the other.
    worker.terminate()
    os.kill(worker.pid, signal.SIGCONT)
    assert worker.wait(30) == 0

    assert _value(running, "SELECT count(*) FROM slot_offers") == 0
    # A hand-over that arrived too late to be returned is rescued, uncounted.
    left = " ".join(_row(running, location)[:2])
    assert left in {"queued 0", "running 0", "succeeded 1"}
    _start_worker(running)
    assert running.finished(location)["attempts"] == 1


def _start(system: System) -> System:
    system.start_api()
    _start_worker(system)
    system.await_ready()
    system.upload("same", IDENTITY)
    system.upload("busy", BUSY)
    _await_offer(system)
    return system


def _start_worker(system: System, **environ: str) -> None:
    defaults = {"CRIVO_LEASE_SECONDS": str(LEASE_SECONDS), "CRIVO_WORKER_SLOTS": "1"}
    system.start_worker(**{**defaults, **environ})


def _await_offer(system: System) -> None:
    for _ in until("a slot is on offer"):
        if _value(system, OPEN_OFFERS):
            return


def _notify(system: System, worker: str, payload: str) -> None:
    url = system.environ["DATABASE_URL"]
    execute(url, f"SELECT pg_notify('crivo_slots_{worker}', '{payload}')")


def _value(system: System, query: str) -> Any:  # noqa: ANN401 - any column
    async def run() -> object:
        connection = await asyncpg.connect(system.environ["DATABASE_URL"])
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(run())


def _row(system: System, location: str) -> list[str]:
    return str(_value(system, ROW.format(_id(location)))).split(" ")


def _id(location: str) -> str:
    return location.rpartition("/")[2]


def _times_reported(system: System, execution: str) -> int:
    lines = system.logs_of_process("app.worker").splitlines()
    return sum("execution.finished" in each and execution in each for each in lines)
