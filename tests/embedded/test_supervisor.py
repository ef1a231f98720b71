"""A service that exits is restarted, until it has exited too often."""

import sys
from pathlib import Path
from typing import Protocol

import psutil
import pytest

from app.embedded import processes, supervisor
from app.embedded.errors import CannotStart, ServiceFailed
from app.embedded.processes import Service, bound_log
from app.embedded.supervisor import Supervisor
from tests.support.disks import small_disk
from tests.support.launcher_process import eventually, gone


class Started(Protocol):
    """The processes that a test has started, optionally with their descendants."""

    def __call__(self, *, recursive: bool = False) -> list[psutil.Process]: ...


@pytest.fixture
def started() -> Started:
    # Another test's system may be running.
    before = {child.pid for child in psutil.Process().children(recursive=True)}

    def find(*, recursive: bool = False) -> list[psutil.Process]:
        children = psutil.Process().children(recursive=recursive)
        return [child for child in children if child.pid not in before]

    return find


def service(tmp_path: Path, program: str, name: str = "part", seconds: float = 10) -> Service:
    return Service(
        name=name,
        command=[sys.executable, "-u", "-c", program],
        log=tmp_path / "log" / f"{name}.log",
        is_ready=lambda: "ready" in (tmp_path / "log" / f"{name}.log").read_text(),
        stop_seconds=seconds,
    )


def test_a_killed_service_is_restarted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], started: Started
) -> None:
    services = Supervisor()
    services.start(service(tmp_path, "print('ready'); __import__('time').sleep(60)"))
    try:
        services.await_ready()
        (first,) = started()
        first.kill()

        def restarted() -> bool:
            services.check()
            return any(child.pid != first.pid for child in started())

        eventually(restarted)
        assert "part ended with SIGKILL; restarting it" in capfd.readouterr().err
    finally:
        services.stop()
    assert started() == []


def test_repeated_fast_exits_fail_with_the_tail_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "MIN_BACKOFF_SECONDS", 0.0)
    services = Supervisor()
    services.start(service(tmp_path, "print('ready'); raise SystemExit('no such luck')"))
    with pytest.raises(ServiceFailed, match=r"(?s)exit code 1, 6 times in a row.*no such luck"):
        services.watch()
    services.stop()


def test_a_start_fails_as_soon_as_a_service_exits(tmp_path: Path) -> None:
    services = Supervisor()
    services.start(service(tmp_path, "raise SystemExit('worker says no')", name="first"))
    services.start(service(tmp_path, "__import__('time').sleep(60)", name="second"))
    with pytest.raises(ServiceFailed, match=r"(?s)first ended with exit code 1.*worker says no"):
        services.await_ready()
    services.stop()


def test_a_service_that_ignores_its_stop_is_killed_with_its_children(
    tmp_path: Path, started: Started
) -> None:
    stubborn = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); "
        "print('ready'); time.sleep(600)"
    )
    services = Supervisor()
    services.start(service(tmp_path, stubborn, seconds=0.2))
    services.await_ready()
    running = started(recursive=True)
    services.stop()
    assert len(running) == 2
    eventually(lambda: gone(running))


def test_groups_stop_in_the_reverse_order(tmp_path: Path) -> None:
    order = tmp_path / "order"
    program = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        f"    open({str(order)!r}, 'a').write(NAME)\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('ready')\n"
        "time.sleep(60)\n"
    )
    services = Supervisor()
    for name in "abc":
        services.start(service(tmp_path, f"NAME = {name!r}\n{program}", name=name))
        services.await_ready()
    services.stop()
    assert order.read_text() == "cba"


def test_a_log_is_bounded_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "MAX_LOG_BYTES", 10)
    log = tmp_path / "part.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"more than ten bytes\n")
        bound_log(log)
        writer.write(b"new\n")
        bound_log(log)
    assert log.read_bytes() == b"new\n"
    assert (tmp_path / "part.log.1").read_bytes() == b"more than ten bytes\n"


def test_the_log_of_a_running_service_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "MAX_LOG_BYTES", 10_000)
    program = (
        "import time\nprint('ready')\n"
        "while True:\n    print('x' * 999, flush=True)\n    time.sleep(0.001)\n"
    )
    services = Supervisor()
    services.start(service(tmp_path, program))
    log = tmp_path / "log" / "part.log"
    try:
        services.await_ready()

        def bounded_and_written_again() -> bool:
            services.check()
            return log.with_name("part.log.1").exists() and 0 < log.stat().st_size < 10_000

        eventually(bounded_and_written_again)
    finally:
        services.stop()


def test_a_service_has_a_session_of_its_own(tmp_path: Path, started: Started) -> None:
    services = Supervisor()
    services.start(
        service(tmp_path, "import os; print('ready', os.getsid(0)); __import__('time').sleep(60)")
    )
    services.await_ready()
    (child,) = started()
    assert f"ready {child.pid}" in (tmp_path / "log" / "part.log").read_text()
    services.stop()


def test_exits_because_of_a_full_disk_are_retried_without_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervisor, "MIN_BACKOFF_SECONDS", 0.0)
    space, tries = tmp_path / "space", tmp_path / "tries"
    program = (
        "import os, sys, time\n"
        f"open({str(tries)!r}, 'a').write('.')\n"
        f"if not os.path.exists({str(space)!r}):\n"
        "    sys.exit('could not write to file: No space left on device')\n"
        "print('ready')\n"
        "time.sleep(60)\n"
    )
    services = Supervisor()
    services.start(service(tmp_path, program))
    try:

        def retried_often() -> bool:
            services.check()
            return tries.exists() and len(tries.read_text()) > 2 * supervisor.MAX_FAST_EXITS

        eventually(retried_often)
        space.touch()
        output = ""

        def works_again() -> bool:
            nonlocal output
            services.check()
            output += capfd.readouterr().err
            return "part works again" in output

        eventually(works_again)
        assert output.count("no disk space left") == 1
        assert "restarting it" not in output
    finally:
        services.stop()


def test_an_own_process_reports_why_it_cannot_start(tmp_path: Path) -> None:
    services = Supervisor()
    program = "import sys; print('api: no such luck', file=sys.stderr); sys.exit(2)"
    services.start(service(tmp_path, program, name="API"))
    with pytest.raises(CannotStart, match=r"^the API cannot start: no such luck$"):
        services.await_ready()
    services.stop()


def test_a_log_is_bounded_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(tmp_path / "disk", size_bytes=1 << 20) as disk:
        monkeypatch.setattr(processes, "MAX_LOG_BYTES", 10)
        log = disk.folder / "part.log"
        log.write_bytes(bytes(600_000))
        bound_log(log)
        assert [(path.name, path.stat().st_size) for path in disk.folder.iterdir()] == [
            ("part.log", 0)
        ]
