"""Kill processes of a system, and start again whatever has exited."""

import asyncio
from typing import Final

from scripts.benchmarks.systems import Crivo

_POLL_SECONDS: Final = 0.05


async def keep_running(crivo: Crivo) -> None:
    """Start again whatever has exited, as the launcher does.

    PostgreSQL exits until no process of the killed one is left, others if it is away as they start.
    """
    while True:
        for name in crivo.roots:
            if crivo.has_exited(name):
                crivo.restart(name)
        await asyncio.sleep(_POLL_SECONDS)


async def kill(crivo: Crivo, victim: str) -> None:
    """Kill -9 a process, and wait until it works again; `keep_running` starts it."""
    crivo.kill(victim)
    # ASYNC110: another process cannot set an event here.
    while not await asyncio.to_thread(crivo.is_ready, victim):  # noqa: ASYNC110
        await asyncio.sleep(_POLL_SECONDS)
