"""A cell's lockdown is measured, reported, and required before a service starts."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.pool import open_pool
from app.sandbox.protocol import DEFAULT_ISOLATION
from tests.support.kernel import LANDLOCK, SECCOMP, landlock_version
from tests.support.processes import cells, until
from tests.support.system import System

ROOT = Path(__file__).parents[2]
REPORT = """
import asyncio, json
from app.sandbox.pool import PoolConfig, open_pool
async def main():
    async with open_pool(PoolConfig(cells=1, warm=1)) as pool:
        print(json.dumps(pool.lockdown))
asyncio.run(main())
"""


async def run_without_seccomp(module: str, system: System, **environ: str) -> tuple[int, str]:
    """Run a service where the kernel knows no seccomp(2). Return its exit status and stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.security.without_call", SECCOMP, "-m", module),
        cwd=ROOT,
        env={**system.environ, **environ},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, stderr = await process.communicate()
    assert process.returncode is not None
    return process.returncode, stderr.decode()


@pytest.mark.parametrize("service", ["worker", "api"])
async def test_without_seccomp_a_service_refuses_to_start_in_one_line(
    service: str, stopped_system: System
) -> None:
    module = {"worker": "app.worker", "api": "app.main"}[service]
    status, stderr = await run_without_seccomp(module, stopped_system)
    assert stderr.splitlines()[-1] == (
        f"{service}: system calls of user code are not filtered (seccomp is off: "
        "Function not implemented); CRIVO_SANDBOX_WITHOUT_SECCOMP=true runs it all the same"
    )
    assert "Traceback" not in stderr
    assert status == 2


async def test_a_setting_starts_it_with_a_warning(stopped_system: System) -> None:
    # Nothing answers there: so it ends by itself, after the sandbox.
    _, stderr = await run_without_seccomp(
        "app.worker",
        stopped_system,
        CRIVO_SANDBOX_WITHOUT_SECCOMP="true",
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
    )
    opened, warning = (json.loads(line) for line in stderr.splitlines()[:2])
    assert opened["lockdown"]["seccomp"] == "off: Function not implemented"
    assert warning["event"] == "sandbox.without_seccomp"
    assert warning["level"] == "warning"
    assert warning["seccomp"] == "off: Function not implemented"
    assert "not filtered" not in stderr.splitlines()[-1]


def test_readiness_and_logs_report_the_lockdown(system: System) -> None:
    ready = system.client.get("/health/ready").json()
    reported = [ready["lockdown"], ready["workers"][0]["lockdown"]]
    for module in ("app.main", "app.worker"):
        lines = (system.folder / f"{module}-0.log").read_text().splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        reported += [event["lockdown"] for event in events if event["event"] == "sandbox.opened"]
    assert len(reported) == 4
    assert all(lockdown["seccomp"] == "on" for lockdown in reported)


async def test_the_kernel_confirms_the_filter_on_every_thread_of_a_cell() -> None:
    async with open_pool(PoolConfig(cells=1, warm=1)) as pool:
        assert pool.lockdown["seccomp"] == "on"
        await until(lambda: bool(cells()))
        tasks = list(Path(f"/proc/{cells()[0].pid}/task").iterdir())
        states = [seccomp_of(task) for task in tasks]
    assert len(tasks) > 1
    assert states == ["2"] * len(tasks)


async def test_a_zygote_and_its_parent_are_not_filtered() -> None:
    async with open_pool(PoolConfig(cells=1, warm=1)):
        await until(lambda: bool(cells()))
        zygote = cells()[0].ppid()
        assert seccomp_of(Path(f"/proc/{zygote}")) == seccomp_of(Path("/proc/self"))


async def test_the_measures_that_this_kernel_offers_are_in_force() -> None:
    async with open_pool(PoolConfig(cells=1, warm=1)) as pool:
        lockdown = pool.lockdown
    assert lockdown.pop("isolation") == DEFAULT_ISOLATION
    assert set(lockdown) == {
        *("parent_death_signal", "not_dumpable", "empty_environment", "no_new_privileges"),
        *("resource_limits", "first_out_of_memory", "own_user", "network", "ipc"),
        *("landlock", "landlock_tcp", "landlock_scopes", "seccomp", "tested_architecture"),
    }
    assert all(state == "on" or state.startswith("off") for state in lockdown.values())
    version = landlock_version()
    assert (lockdown["landlock"] == "on") == (version >= 1)
    assert (lockdown["landlock_tcp"] == "on") == (version >= 4)
    assert (lockdown["landlock_scopes"] == "on") == (version >= 6)


async def test_a_measure_that_the_kernel_lacks_is_off_with_its_reason() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.security.without_call", LANDLOCK, "-c", REPORT),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    stdout, _ = await process.communicate()
    lockdown = json.loads(stdout)
    for name in ("landlock", "landlock_tcp", "landlock_scopes"):
        assert lockdown[name] == "off: Function not implemented"
    assert lockdown["seccomp"] == "on"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a cell its own user")
async def test_a_cell_keeps_a_user_that_its_pool_can_kill() -> None:
    # Of the set that is left at the next program's start.
    drop = "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 5, 0, 0, 0)"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", f"{drop}; os.execv(sys.executable, sys.argv[1:])"),
        *(sys.executable, "-c", REPORT),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    stdout, _ = await process.communicate()
    assert process.returncode == 0
    own_user = json.loads(stdout)["own_user"]
    assert own_user == "off: no capability to end another user's process"


def seccomp_of(process: Path) -> str:
    lines = (process / "status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("Seccomp:"))
