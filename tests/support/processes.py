"""Find the processes of this test's sandboxes."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import psutil


async def until(condition: Callable[[], bool]) -> None:
    """Wait for the kernel or another process to get there."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the kernel sets no event of ours
            await asyncio.sleep(0.01)


def count_fds(process: str = "self") -> int:
    return sum(1 for _ in Path("/proc", process, "fd").iterdir())


def zygotes() -> list[psutil.Process]:
    # Direct children only: other tests' systems have zygotes further down the tree.
    return [
        child
        for child in psutil.Process().children()
        if any("app.sandbox" in argument for argument in child.cmdline())
    ]


def cells() -> list[psutil.Process]:
    return [cell for zygote in zygotes() for cell in zygote.children()]


def busy_cells() -> list[psutil.Process]:
    """Cells that run user code: they use CPU, a waiting one does not."""
    return [cell for cell in cells() if cell.cpu_times().user > 0.3]
