"""A cell that the kernel kills for lack of memory is out of memory; any other kill is a crash."""

import asyncio
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from app.execution_errors import failure_of
from app.sandbox import cgroups
from app.sandbox.cell_pool import PoolConfig
from app.sandbox.cgroups import OomKills
from app.sandbox.outcomes import Crashed, OutOfMemory
from app.sandbox.pool import open_pool
from tests.support.processes import busy_cells, until
from tests.support.sandbox_runs import MIB, run
from tests.support.servers import ROOT

ENDLESS: Final = "function process() { while (true); }"
_GROUP_BYTES: Final = 400 * MIB
# In a process of its own, which enters the group before there is a zygote: its limit is what a
# container's would be, and the script's is far above it.
_IN_A_GROUP: Final = """
import asyncio, os, pathlib, sys
(pathlib.Path(sys.argv[1]) / "cgroup.procs").write_text(str(os.getpid()))
from app.sandbox.pool import PoolConfig, open_pool
from tests.support.sandbox_runs import MIB, run
SOURCE = '''function process() {
  const all = []
  for (;;) { all.push(new Uint8Array(2 ** 22).fill(1)) }
}'''
async def main():
    async with open_pool(PoolConfig(cells=1, warm=0)) as pool:
        ran = await run(pool, SOURCE, memory_bytes=2_048 * MIB)
        print(type(ran.outcome).__name__, getattr(ran.outcome, "of_host", None))
        print((await run(pool, "const process = d => d", memory_bytes=64 * MIB)).output.decode())
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("kills", "outcome"), [(1, OutOfMemory), (0, Crashed)], ids=["by_the_kernel", "by_somebody"]
)
async def test_an_oom_kill_of_the_kernel_is_out_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int, outcome: type
) -> None:
    events = tmp_path / "memory.events"
    # The kernel's file, stood in for: what it counts cannot be made to happen everywhere.
    events.write_text("low 0\noom 3\noom_kill 7\noom_group_kill 0\n")
    monkeypatch.setattr(cgroups, "folders", lambda: [tmp_path])
    async with open_pool(PoolConfig(cells=1, warm=1)) as pool:
        running = asyncio.create_task(run(pool, ENDLESS))
        await until(lambda: bool(busy_cells()))
        events.write_text(f"low 0\noom 3\noom_kill {7 + kills}\noom_group_kill 0\n")
        busy_cells()[0].kill()
        found = (await running).outcome

    assert isinstance(found, outcome), found
    failure = failure_of(found)
    assert failure is not None
    assert ("below its limit" in failure.message) == bool(kills)


def test_version_1_is_read_and_a_missing_file_counts_no_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "folders", lambda: [tmp_path])
    assert OomKills().count() == 0
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.oom_control").write_text(
        "oom_kill_disable 0\nunder_oom 0\noom_kill 12\n"
    )
    kills = OomKills()
    assert kills.count() == 12
    kills.close()


def test_a_real_control_group_kills_a_cell(limited_group: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IN_A_GROUP, str(limited_group)],
        check=False,
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.stdout.split() == ["OutOfMemory", "True", "null"], done.stdout + done.stderr


@pytest.fixture
def limited_group() -> Iterator[Path]:
    """A control group of this process's own with a limit of memory, where the system lets us."""
    for parent in sorted(cgroups.folders(), key=lambda each: len(each.parts), reverse=True):
        group = parent / f"crivo-test-{secrets.token_hex(4)}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            for name in ("memory.max", "memory.limit_in_bytes"):
                # Opened, not made: another hierarchy has no such file.
                with suppress(FileNotFoundError), (group / name).open("r+") as file:
                    file.write(str(_GROUP_BYTES))
                    file.flush()
                    _forbid_swap(group)
                    yield group
                    return
        except OSError:
            continue
        finally:
            with suppress(OSError):
                group.rmdir()
    pytest.skip("this system lets us make no control group with a limit of memory")


def _forbid_swap(group: Path) -> None:
    for name, value in (
        ("memory.swap.max", "0"),
        ("memory.memsw.limit_in_bytes", str(_GROUP_BYTES)),
    ):
        with suppress(OSError), (group / name).open("r+") as file:
            file.write(value)
