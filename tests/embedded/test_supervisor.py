"""What dies is started again, until it dies too often."""

import sys
from pathlib import Path
from typing import Protocol

import psutil
import pytest

from app.embedded import processes, supervisor
from app.embedded.errors import CannotStart, ServiceFailed
from app.embedded.processes import Service, bound_log
from app.embedded.supervisor import Supervisor
from tests.acceptance.launched import eventually, gone
from tests.disks import small_disk


class Started(Protocol):
    """The processes that a test has started, and on demand theirs."""

    def __call__(self, *, recursive: bool = False) -> list[psutil.Process]: ...


@pytest.fixture
def started() -> Started:
    # A system that other tests talk to may be running beside.
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


def test_a_dead_service_is_started_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], started: Started
) -> None:
    kept = Supervisor()
    kept.start(service(tmp_path, "print('ready'); __import__('time').sleep(60)"))
    try:
        kept.await_ready()
        (first,) = started()
        first.kill()

        def another() -> bool:
            kept.check()
            return any(child.pid != first.pid for child in started())

        eventually(another)
        assert "part ended with SIGKILL; starting it again" in capfd.readouterr().err
    finally:
        kept.stop()
    assert started() == []


def test_repeated_fast_deaths_end_it_with_the_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 0.0)
    kept = Supervisor()
    kept.start(service(tmp_path, "print('ready'); raise SystemExit('no such luck')"))
    with pytest.raises(ServiceFailed, match=r"(?s)exit code 1, 6 times in a row.*no such luck"):
        kept.watch()
    kept.stop()


def test_a_start_does_not_wait_for_what_has_died(tmp_path: Path) -> None:
    kept = Supervisor()
    kept.start(service(tmp_path, "raise SystemExit('worker says no')", name="first"))
    kept.start(service(tmp_path, "__import__('time').sleep(60)", name="second"))
    with pytest.raises(ServiceFailed, match=r"(?s)first ended with exit code 1.*worker says no"):
        kept.await_ready()
    kept.stop()


def test_what_does_not_stop_is_killed_with_its_children(tmp_path: Path, started: Started) -> None:
    stubborn = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); "
        "print('ready'); time.sleep(600)"
    )
    kept = Supervisor()
    kept.start(service(tmp_path, stubborn, seconds=0.2))
    kept.await_ready()
    running = started(recursive=True)
    kept.stop()
    assert len(running) == 2
    eventually(lambda: gone(running))


def test_groups_stop_in_the_reverse_order(tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        f"    open({str(told)!r}, 'a').write(NAME)\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('ready')\n"
        "time.sleep(60)\n"
    )
    kept = Supervisor()
    for name in "abc":
        kept.start(service(tmp_path, f"NAME = {name!r}\n{program}", name=name))
        kept.await_ready()
    kept.stop()
    assert told.read_text() == "cba"


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


def test_the_log_of_a_service_that_runs_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "MAX_LOG_BYTES", 10_000)
    program = (
        "import time\nprint('ready')\n"
        "while True:\n    print('x' * 999, flush=True)\n    time.sleep(0.001)\n"
    )
    kept = Supervisor()
    kept.start(service(tmp_path, program))
    log = tmp_path / "log" / "part.log"
    try:
        kept.await_ready()

        def bounded_and_written_again() -> bool:
            kept.check()
            return log.with_name("part.log.1").exists() and 0 < log.stat().st_size < 10_000

        eventually(bounded_and_written_again)
    finally:
        kept.stop()


def test_ctrl_c_does_not_reach_a_service_by_itself(tmp_path: Path, started: Started) -> None:
    kept = Supervisor()
    kept.start(
        service(tmp_path, "import os; print('ready', os.getsid(0)); __import__('time').sleep(60)")
    )
    kept.await_ready()
    (child,) = started()
    assert f"ready {child.pid}" in (tmp_path / "log" / "part.log").read_text()
    kept.stop()


def test_want_of_disk_space_is_waited_for_however_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 0.0)
    room, tries = tmp_path / "room", tmp_path / "tries"
    program = (
        "import os, sys, time\n"
        f"open({str(tries)!r}, 'a').write('.')\n"
        f"if not os.path.exists({str(room)!r}):\n"
        "    sys.exit('could not write to file: No space left on device')\n"
        "print('ready')\n"
        "time.sleep(60)\n"
    )
    kept = Supervisor()
    kept.start(service(tmp_path, program))
    try:

        def tried_often() -> bool:
            kept.check()
            return tries.exists() and len(tries.read_text()) > 2 * supervisor.MAX_FAST_DEATHS

        eventually(tried_often)
        room.touch()
        said = ""

        def works_again() -> bool:
            nonlocal said
            kept.check()
            said += capfd.readouterr().err
            return "part works again" in said

        eventually(works_again)
        assert said.count("no disk space left") == 1
        assert "starting it again" not in said
    finally:
        kept.stop()


def test_what_one_of_ours_says_of_its_start_is_the_refusal(tmp_path: Path) -> None:
    kept = Supervisor()
    program = "import sys; print('api: no such luck', file=sys.stderr); sys.exit(2)"
    kept.start(service(tmp_path, program, name="API"))
    with pytest.raises(CannotStart, match=r"^the API cannot start: no such luck$"):
        kept.await_ready()
    kept.stop()


def test_a_log_is_bounded_where_there_is_no_room_for_a_second_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk", size_bytes=1 << 20) as disk:
        monkeypatch.setattr(processes, "MAX_LOG_BYTES", 10)
        log = disk.folder / "part.log"
        log.write_bytes(bytes(600_000))
        bound_log(log)
        assert [(path.name, path.stat().st_size) for path in disk.folder.iterdir()] == [
            ("part.log", 0)
        ]
