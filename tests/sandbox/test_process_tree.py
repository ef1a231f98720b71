"""Zygotes and cells end with their parent, start from any path, and report their lockdown."""

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

import psutil
import pytest

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.pool import SandboxPool, open_pool
from tests.support.processes import cells, count_fds, until, zygotes

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).resolve().parents[2]


PARENT = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from app.sandbox.pool import PoolConfig, open_pool
async def main():
    async with open_pool(PoolConfig(cells=1, warm=2)) as pool:
        print(pool.v8_version, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_zygote_and_cells_end_with_their_parent(tmp_path: Path) -> None:
    parent = await start_parent(ROOT, cwd=tmp_path)
    await until(lambda: len(psutil.Process(parent.pid).children(recursive=True)) >= 3)
    family = psutil.Process(parent.pid).children(recursive=True)
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    await until(lambda: not any(alive(process) for process in family))


async def test_the_zygote_starts_from_a_path_with_spaces(tmp_path: Path) -> None:
    root = tmp_path / "a folder 'with' spaces"
    shutil.copytree(
        ROOT / "app" / "sandbox",
        root / "app" / "sandbox",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    parent = await start_parent(root, cwd=tmp_path)
    parent.kill()
    await parent.wait()


async def start_parent(root: Path, *, cwd: Path) -> asyncio.subprocess.Process:
    """Start a Python of its own with a pool, and wait until the pool is open."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(root), cwd=cwd, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    assert (await parent.stdout.readline()).startswith(b"14.")
    return parent


def alive(process: psutil.Process) -> bool:
    """A zombie is dead: it only waits for whoever adopted it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_the_lockdown_in_force_is_reported(pool: SandboxPool) -> None:
    on = {name for name, state in pool.lockdown.items() if state == "on"}
    assert on >= {
        "parent_death_signal",
        "not_dumpable",
        "empty_environment",
        "no_new_privileges",
        "first_out_of_memory",
        "resource_limits",
        "seccomp",
    }
    if os.geteuid() == 0:
        assert pool.lockdown["own_user"] == "on"


@pytest.mark.usefixtures("pool")
async def test_a_cell_is_locked_down_as_reported() -> None:
    await until(lambda: bool(cells()))
    cell = cells()[0]
    proc = Path("/proc") / str(cell.pid)
    assert (proc / "oom_score_adj").read_text().strip() == "1000"
    assert "NoNewPrivs:\t1" in (proc / "status").read_text()
    if os.geteuid() == 0:
        assert cell.cwd() == "/"
        assert cell.environ() == {}
        assert cell.uids().real not in {0, os.getuid()}
        # stderr, the channel, its own status and what sets its peak back
        assert count_fds(str(cell.pid)) == 4
        assert (proc / "ns" / "net").readlink() != Path("/proc/self/ns/net").readlink()


async def test_the_environment_does_not_reach_the_zygote(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:secret@host/db")
    async with open_pool(PoolConfig(cells=1, warm=1)):
        for process in (*zygotes(), *cells()):
            assert b"secret" not in (Path("/proc") / str(process.pid) / "environ").read_bytes()
