"""`./start.sh dask` runs a cluster for trials, and keeps it running."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.launcher_process import LauncherProcess, eventually, free_port


def test_a_cluster_for_trials_is_joined_lost_and_joined_again(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "app.embedded", "dask")
    with LauncherProcess(tmp_path / "data", free_port(), command=command) as launched:
        launched.wait_until_ready()
        assert "run programs as you" in launched.output
        eventually(lambda: slots(launched.url) == 2)
        assert "degraded" not in health(launched.url)
        [scheduler] = dask_processes(tmp_path / "data", "dask_scheduler")
        # It would start another one, perhaps before anybody has missed this one.
        launcher = psutil.Process(scheduler).parent()
        assert launcher is not None
        launcher.suspend()
        os.kill(scheduler, signal.SIGKILL)
        lost = "parts of runs have fewer slots: of the engine, its scheduler does not answer"
        eventually(lambda: health(launched.url).get("degraded") == [lost])
        assert health(launched.url)["ready"] is True
        launcher.resume()
        eventually(lambda: slots(launched.url) == 2)
        workers = dask_processes(tmp_path / "data", "dask_worker")
    assert len(workers) == 2
    assert not any(psutil.pid_exists(each) for each in workers)


def health(url: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{url}/health/ready", trust_env=False).json()
    return answer


def slots(url: str) -> int:
    [worker] = health(url)["workers"]
    found: int = worker["engine"]["slots"]
    return found


def dask_processes(data: Path, module: str) -> list[int]:
    found = []
    for each in psutil.process_iter():
        # Processes end meanwhile, and zombies have no command.
        with suppress(psutil.Error):
            named = f"distributed.cli.{module}" in (each.cmdline() or ())
            if named and each.environ().get("CRIVO_DATA") == str(data):
                found.append(each.pid)
    return found
