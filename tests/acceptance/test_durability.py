"""Accepted work survives restarts, kills, a missing Redis and concurrent workers."""

import os
import signal
from collections import Counter
from pathlib import Path

import psutil

from tests.support.servers import execute
from tests.support.system import System, stop, until

IDENTITY = "const process = data => data"
TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
BUSY = "function process(d) { let x = 0; for (let i = 0; i < 4e8; i++) x += i; return d }"


def test_queued_work_survives_a_restart_of_api_and_worker(stopped_system: System) -> None:
    system = stopped_system
    system.start_api()
    system.await_api()
    system.upload("kept", IDENTITY)
    accepted = [system.submit("kept", b"%d" % number) for number in range(20)]
    assert system.api is not None
    system.api.kill()
    system.api.wait()

    system.start()

    results = [system.finished(location)["result"] for location in accepted]
    assert results == list(range(20))


def test_executions_of_a_killed_worker_are_taken_over(stopped_system: System) -> None:
    system = stopped_system.start()
    system.upload("busy", BUSY)
    accepted = [system.submit("busy", b"%d" % number) for number in range(4)]
    _await_running(system)
    system.workers[0].kill()
    system.workers[0].wait()

    system.start_worker()

    finished = [system.finished(location) for location in accepted]
    assert [each["result"] for each in finished] == [0, 1, 2, 3]
    assert max(each["receipt"]["attempts"] for each in finished) == 2


def test_work_whose_workers_always_vanish_ends_as_worker_lost(stopped_system: System) -> None:
    system = stopped_system.start()
    system.upload("forever", "function process(_) { for (;;); }")
    location = system.submit("forever", b"1", wall_ms=60_000)

    # One worker for each attempt, and one more, which rescues the last lease.
    for attempt in (1, 2, 3):
        for _ in until(f"attempt {attempt} runs"):
            if system.client.get(location).json()["attempts"] == attempt:
                break
        system.workers[-1].kill()
        system.workers[-1].wait()
        system.start_worker()

    execution = system.finished(location)
    assert (execution["status"], execution["error"]["kind"]) == ("failed", "worker_lost")
    assert execution["receipt"]["attempts"] == 3


def test_two_workers_never_record_one_execution_twice(stopped_system: System) -> None:
    system = stopped_system.start()
    system.start_worker()
    system.upload("shared", IDENTITY)

    accepted = [system.submit("shared", b"%d" % number) for number in range(200)]
    finished = [system.finished(location) for location in accepted]

    assert [each["result"] for each in finished] == list(range(200))
    assert {each["receipt"]["attempts"] for each in finished} == {1}
    ended: Counter[str] = Counter()
    for _ in until("both workers have logged every end"):
        lines = system.logs_of_process("app.worker").splitlines()
        ended = Counter(line for line in lines if "execution.finished" in line)
        if ended.total() == 200:
            break
    assert "late_report_refused" not in system.logs_of_process("app.worker")


def test_a_worker_that_was_stopped_beyond_its_lease_records_nothing(
    stopped_system: System,
) -> None:
    system = stopped_system.start()
    # The worker must still be at it when it is stopped.
    system.upload("busy", BUSY.replace("4e8", "1e9"))
    location = system.submit("busy", b"1")
    _await_running(system)
    sleeper = system.workers[0]
    sleeper.send_signal(signal.SIGSTOP)
    system.start_worker()

    execution = system.finished(location)
    sleeper.send_signal(signal.SIGCONT)

    assert execution["result"] == 1
    assert execution["receipt"]["attempts"] == 2
    for _ in until("the sleeper notices that it lost its lease"):
        log = system.logs_of_process("app.worker")
        if "execution.lease_lost" in log or "execution.late_report_refused" in log:
            break
    assert system.client.get(location).json() == execution


def test_work_is_accepted_and_done_without_redis(stopped_system: System, tmp_path: Path) -> None:
    system = stopped_system
    system.environ["REDIS_URL"] = f"unix://{tmp_path}/nobody-listens.sock"
    system.start()
    system.upload("unrung", IDENTITY)

    assert system.run("unrung", b'"done"')["result"] == "done"


def test_a_worker_survives_the_end_of_its_connections(stopped_system: System) -> None:
    system = stopped_system.start()
    system.upload("kept", IDENTITY)
    worker = system.workers[0]

    for number in range(4):
        execute(system.environ["DATABASE_URL"], TERMINATE)
        system.await_ready()
        execution = system.run("kept", b"%d" % number)
        assert (execution["result"], execution["receipt"]["attempts"]) == (number, 1)

    assert worker.poll() is None


def test_an_execution_whose_input_is_gone_fails_alone(stopped_system: System) -> None:
    system = stopped_system.start()
    system.upload("kept", IDENTITY)
    stop(system.workers[0])
    location = system.submit("kept", b" " * 2 * 2**20 + b"1")
    [blob] = [path for path in (system.folder / "blobs").rglob("*") if path.is_file()]
    blob.unlink()
    system.start_worker(CRIVO_LEASE_SECONDS="1")

    assert system.finished(location)["error"]["kind"] == "worker_lost"
    assert system.run("kept", b"1")["result"] == 1


def test_a_stopped_worker_releases_its_work(stopped_system: System) -> None:
    system = stopped_system.start()
    system.upload("forever", "function process(_) { for (;;); }")
    location = system.submit("forever", b"1", wall_ms=60_000)
    _await_running(system)

    stop(system.workers[0])

    execution = system.client.get(location).json()
    assert (execution["status"], execution["attempts"]) == ("queued", 0)


def test_a_stop_leaves_no_process_behind(stopped_system: System) -> None:
    system = stopped_system.start()
    assert system.api is not None
    for process in (system.api, system.workers[0]):
        family = psutil.Process(process.pid).children(recursive=True)
        assert family, "a sandbox runs below each of them"

        # uvicorn ends gracefully, then re-raises the signal, as shells expect.
        assert stop(process) in (0, -signal.SIGTERM)
        _await_gone(family)


def test_a_killed_worker_leaves_no_process_behind(stopped_system: System) -> None:
    system = stopped_system.start()
    family = psutil.Process(system.workers[0].pid).children(recursive=True)

    os.kill(system.workers[0].pid, signal.SIGKILL)
    system.workers[0].wait()

    _await_gone(family)


def _await_running(system: System) -> None:
    for _ in until("an execution runs"):
        if system.client.get("/executions", params={"status": "running"}).json()["items"]:
            return


def _await_gone(family: list[psutil.Process]) -> None:
    for _ in until("no process is left"):
        if not any(_alive(process) for process in family):
            return


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
