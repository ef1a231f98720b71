"""Outages of the host cost no attempts, are reported as such, and heal without a restart."""

import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from app.embedded.binaries import find_redis, search_path
from tests.support.disks import SmallDisk, small_disk
from tests.support.servers import execute, with_database
from tests.support.servers_s3 import run_s3
from tests.support.system import System, stop, until

MIB: Final = 1 << 20
IDENTITY: Final = "const process = data => data"
GROWS: Final = "const process = n => 'x'.repeat(n)"
LARGE: Final = b'"' + b"x" * (3 * MIB) + b'"'


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", size_bytes=48 * MIB) as disk:
        yield disk


@pytest.fixture
def on_disk(stopped_system: System, disk: SmallDisk) -> System:
    """A system whose blobs are on a small disk."""
    system = stopped_system
    system.environ["BLOB_URL"] = (disk.folder / "blobs").as_uri()
    system.environ["CRIVO_LEASE_SECONDS"] = "1"
    system.start()
    system.upload("identity", IDENTITY)
    system.upload("grows", GROWS)
    return system


def test_a_full_blob_store_under_load(on_disk: System, disk: SmallDisk) -> None:
    system = on_disk
    disk.fill()
    with _load(system) as answers:
        # Accepted because its input is small; its result is large.
        accepted = [system.submit("grows", b"%d" % (3 * MIB)) for _ in range(4)]
        _await_outage(system, "app.worker", "blob store")
        _await_not_ready(system, "the blob store is full")
        for _ in until("large inputs are refused, small ones accepted"):
            if len(answers) > 1 and min(answers.values()) > 5:
                break
        assert set(answers) == {(507, "30", "blob-store-full"), (202, "1", None)}
        assert _statuses(system, accepted) <= {"queued", "running"}
    disk.make_room()

    system.await_ready()
    finished = [system.finished(location) for location in accepted]
    assert {(each["status"], each["receipt"]["attempts"]) for each in finished} == {
        ("succeeded", 1)
    }
    _require_nothing_half_written(disk)
    for module in ("app.main", "app.worker"):
        assert _outages(system, module, "blob store") == 1


def _remount(disk: SmallDisk) -> tuple[Callable[[], None], Callable[[], None]]:
    return lambda: disk.remount("ro"), lambda: disk.remount("rw")


def _remove(disk: SmallDisk) -> tuple[Callable[[], None], Callable[[], None]]:
    folder, elsewhere = disk.folder / "blobs", disk.folder / "elsewhere"
    return lambda: _move(folder, elsewhere), lambda: _move(elsewhere, folder)


def _move(source: Path, target: Path) -> None:
    source.rename(target)


@pytest.mark.parametrize("trouble", [_remount, _remove])
def test_a_blob_folder_that_is_away(
    on_disk: System,
    disk: SmallDisk,
    trouble: Callable[[SmallDisk], tuple[Callable[[], None], Callable[[], None]]],
) -> None:
    system = on_disk
    system.workers[0].send_signal(signal.SIGSTOP)
    location = system.submit("identity", LARGE)
    begin, end = trouble(disk)
    begin()
    system.workers[0].send_signal(signal.SIGCONT)
    other = system.submit("grows", b"%d" % (3 * MIB))

    refused = system.client.post("/scripts/identity/executions", content=LARGE)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert str(disk.folder) not in refused.text
    _await_not_ready(system, "the blob store does not work")
    _await_outage(system, "app.worker", "blob store")
    assert _statuses(system, [location, other]) <= {"queued", "running"}
    end()

    system.await_ready()
    for each in (location, other):
        execution = system.finished(each)
        assert (execution["status"], execution["receipt"]["attempts"]) == ("succeeded", 1)


def test_a_worker_does_not_begin_on_a_folder_that_cannot_be_written(
    on_disk: System, disk: SmallDisk
) -> None:
    disk.remount("ro")
    worker = on_disk.start_worker()
    assert worker.wait(timeout=60) == 2
    last = (on_disk.folder / "app.worker-1.log").read_text().splitlines()[-1]
    assert re.fullmatch(r"worker: the folder .* of BLOB_URL cannot be written: Read-only.*", last)


def test_s3_that_is_away(stopped_system: System) -> None:
    system = stopped_system
    with ExitStack() as running:
        s3 = running.enter_context(run_s3())
        system.environ.update(s3.environ)
        system.start()
        system.upload("identity", IDENTITY)
        stop(system.workers[0])
        location = system.submit("identity", LARGE)
        running.close()
        system.start_worker()

        refused = system.client.post("/scripts/identity/executions", content=LARGE)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        _await_outage(system, "app.worker", "blob store")
        _await_not_ready(system, "the blob store does not work")
        assert _statuses(system, [location]) <= {"queued", "running"}
        running.enter_context(run_s3(port=int(s3.url.rpartition(":")[2]), again=True))

        system.await_ready()
        execution = system.finished(location)
        assert (execution["status"], execution["receipt"]["attempts"]) == ("succeeded", 1)


def test_a_database_away_for_longer_than_a_lease(stopped_system: System) -> None:
    system = stopped_system
    system.environ["CRIVO_LOG_LEVEL"] = "debug"
    system.start()
    system.upload("identity", IDENTITY)
    system.upload(
        "slow", "function process(d) { let x = 0; for (let i = 0; i < 3e8; i++) x += i; return d }"
    )
    location = system.submit("slow", b"1")
    for _ in until("it runs"):
        if system.client.get(location).json()["status"] == "running":
            break
    with _database_away(system):
        for _ in until("the worker gives up recording it"):
            if "execution.handed_back" in system.logs_of_process("app.worker"):
                break
        refused = system.client.post("/scripts/identity/executions", content=b"1")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert refused.json()["type"] == "urn:crivo:problem:database-unavailable"
        _await_not_ready(system, "PostgreSQL does not answer")

    system.await_ready()
    execution = system.finished(location)
    assert (execution["result"], execution["receipt"]["attempts"]) == (1, 1)
    for module in ("app.main", "app.worker"):
        assert _outages(system, module, "PostgreSQL") == 1


def test_a_missing_redis_is_reported_and_loses_nothing(
    stopped_system: System, tmp_path: Path
) -> None:
    system = stopped_system
    socket = tmp_path / "redis.sock"
    system.environ["REDIS_URL"] = f"unix://{socket}"
    system.start()
    system.upload("identity", IDENTITY)

    assert system.run("identity", b"1")["result"] == 1

    for _ in until("it is told"):
        ready = system.client.get("/health/ready")
        assert ready.status_code == 200
        if "Redis does not answer" in "".join(ready.json().get("degraded", [])):
            break
    program = find_redis(search_path(), tmp_path)
    command = [str(program), "--port", "0", "--unixsocket", str(socket), "--save", ""]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as redis:
        try:
            for _ in until("it is over"):
                if "degraded" not in system.client.get("/health/ready").json():
                    break
            for module in ("app.main", "app.worker"):
                assert _outages(system, module, "Redis") == 1
        finally:
            redis.terminate()


def test_a_full_temporary_folder_does_not_affect_forms(
    stopped_system: System, disk: SmallDisk
) -> None:
    system = stopped_system
    system.environ["TMPDIR"] = str(disk.folder)
    system.start()
    form: dict[str, tuple[str | None, bytes]] = {
        "name": (None, b"sampled"),
        "source": (None, IDENTITY.encode()),
        "sample": ("d", LARGE),
    }
    disk.fill()

    # Unknown, which only a parsed form shows.
    assert system.client.post("/scripts", files=form).status_code == 422
    assert system.client.get("/scripts").status_code == 200


def test_readiness_reports_why_no_worker_works(stopped_system: System) -> None:
    system = stopped_system
    system.start_api()
    system.await_api()
    _see_worker(system, 1, "'no sandbox can be started'")
    _await_not_ready(system, "no sandbox can be started")

    _see_worker(system, 2, "NULL")

    ready = system.client.get("/health/ready")
    assert ready.status_code == 200
    troubles = [worker["trouble"] for worker in ready.json()["workers"]]
    assert troubles == ["no sandbox can be started", None]


def _see_worker(system: System, number: int, trouble: str) -> None:
    worker = f"01900000-0000-7000-8000-00000000000{number}"
    execute(
        system.environ["DATABASE_URL"],
        "INSERT INTO workers (id, host, pid, slots, v8_version, lockdown, trouble) "  # noqa: S608 - ours
        f"VALUES ('{worker}', 'h', 1, 1, 'v', '{{}}', {trouble})",
    )


@contextmanager
def _database_away(system: System) -> Iterator[None]:
    url = system.environ["DATABASE_URL"]
    name = url.partition("?")[0].rpartition("/")[2]
    admin = with_database(url, "postgres")
    execute(
        admin,
        f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false',
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",  # noqa: S608 - ours
    )
    try:
        yield
    finally:
        execute(admin, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


@contextmanager
def _load(system: System) -> Iterator[Counter[tuple[int, str | None, str | None]]]:
    """Submit small inputs and large ones, in two threads."""
    answers: Counter[tuple[int, str | None, str | None]] = Counter()
    over = threading.Event()

    def submit(data: bytes) -> None:
        with httpx.Client(base_url=system.url, timeout=60, trust_env=False) as client:
            while not over.is_set():
                answer = client.post("/scripts/identity/executions", content=data)
                answers[_told(answer)] += 1

    threads = [threading.Thread(target=submit, args=(data,)) for data in (b"1", LARGE)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _told(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    problem: dict[str, Any] = answer.json() if answer.status_code >= 400 else {}
    kind = problem.get("type", "").rpartition(":")[2] or None
    return answer.status_code, answer.headers.get("Retry-After"), kind


def _await_not_ready(system: System, reason: str) -> None:
    for _ in until(f"readiness says: {reason}"):
        ready = system.client.get("/health/ready")
        if ready.status_code == 503 and reason in ready.json()["missing"]:
            return


def _await_outage(system: System, module: str, dependency: str) -> None:
    for _ in until(f"{module} logs that {dependency} is away"):
        if _outages(system, module, dependency):
            return


def _outages(system: System, module: str, dependency: str) -> int:
    lines = system.logs_of_process(module).splitlines()
    return sum("outage.began" in line and f'"{dependency}"' in line for line in lines)


def _statuses(system: System, locations: list[str]) -> set[str]:
    return {system.client.get(location).json()["status"] for location in locations}


def _require_nothing_half_written(disk: SmallDisk) -> None:
    assert [path for path in disk.folder.rglob("*#*") if path.is_file()] == []
