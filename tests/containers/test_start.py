"""./start.sh compose reports missing parts in one line; beyond loopback the API stays guarded."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers import ROOT
from tests.support.system import System, stop, until


def _start_compose(path: str, data: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "start.sh"), "compose"],
        check=False,
        capture_output=True,
        encoding="utf-8",
        env={"PATH": path, "CRIVO_DATA": str(data), **environ},
    )


def test_a_missing_docker_is_one_line(tmp_path: Path) -> None:
    # A machine with a shell and dirname only: without Docker, and without Python.
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "dirname").symlink_to(str(shutil.which("dirname")))

    done = _start_compose(str(tools), tmp_path / "data")

    assert done.returncode == 2
    assert done.stderr == (
        "crivo: compose needs Docker, and docker is not on PATH; ./start.sh alone runs without it\n"
    )
    assert done.stdout == ""
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(shutil.which("docker") is None, reason="docker is not on PATH")
def test_a_missing_engine_or_plugin_is_one_line(tmp_path: Path) -> None:
    nowhere = f"unix://{tmp_path}/nowhere.sock"

    done = _start_compose(os.environ["PATH"], tmp_path / "data", DOCKER_HOST=nowhere)

    assert done.returncode == 2
    assert done.stderr.startswith("crivo: ")
    assert "no Docker engine responds" in done.stderr or "no compose plugin" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_beyond_loopback_the_api_refuses_to_listen_without_keys(
    stopped_system: System,
) -> None:
    process = stopped_system.spawn("app.main", CRIVO_HOST="0.0.0.0", CRIVO_AUTH="auto")  # noqa: S104 - it refuses

    assert process.wait() == 2
    assert stopped_system.logs_of_process("app.main") == (
        "api: CRIVO_HOST=0.0.0.0: beyond loopback the API needs keys, and there is none; "
        "create one (./start.sh admin key create --all), or set CRIVO_ADMIN_KEY\n"
    )


def test_insecure_listen_warns_and_still_checks_host_and_origin(
    stopped_system: System,
) -> None:
    stopped_system.environ["CRIVO_HOST"] = "0.0.0.0"  # noqa: S104 - as in a container
    stopped_system.environ["CRIVO_INSECURE_LISTEN"] = "true"
    stopped_system.start_api()
    stopped_system.await_api()

    foreign = stopped_system.client.get("/scripts", headers={"Host": "crivo.example"})
    cross = stopped_system.client.get("/scripts", headers={"Origin": "http://other.example"})
    own = stopped_system.client.get("/scripts", headers={"Host": "localhost:8000"})

    assert [foreign.status_code, cross.status_code, own.status_code] == [421, 403, 200]
    assert "api.listens_beyond_loopback_without_keys" in stopped_system.logs_of_process("app.main")


def test_the_api_is_healthy_when_it_responds(stopped_system: System) -> None:
    before = _health(stopped_system, "api")
    stopped_system.start_api()
    stopped_system.await_api()

    assert before == 1
    assert _health(stopped_system, "api") == 0


def test_a_worker_is_healthy_when_postgresql_has_seen_it(stopped_system: System) -> None:
    before = _health(stopped_system, "worker")
    worker = stopped_system.start_worker()
    for _ in until("PostgreSQL has seen the worker"):
        if _health(stopped_system, "worker") == 0:
            break

    assert before == 1
    assert stop(worker) == 0
    assert _health(stopped_system, "worker") == 1


def test_the_health_check_of_an_unknown_part_is_a_usage_error(stopped_system: System) -> None:
    assert _health(stopped_system, "database") == 2


def _health(system: System, part: str) -> int:
    return subprocess.run(
        [sys.executable, "-m", "app.healthcheck", part],
        check=False,
        cwd=ROOT,
        env=system.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ).returncode
