"""Read schemas off the event loop, in threads of their own: no lookup of blobs waits for them.

Callers hold their tenant's turn meanwhile (app/check_turns.py), which bounds what waits here.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

# Reading is bound by the CPU. Tables are for readers: they hold no upload up.
_checking: Final = ThreadPoolExecutor(1, thread_name_prefix="schemas-checking")
_describing: Final = ThreadPoolExecutor(1, thread_name_prefix="schemas-describing")


async def in_checking_thread(call: Callable[[], T]) -> T:
    """Call in the thread that reads and compares uploads; calls wait in their order."""
    return await asyncio.get_running_loop().run_in_executor(_checking, call)


async def in_describing_thread(call: Callable[[], T]) -> T:
    """Call in the thread that makes tables; calls wait in their order."""
    return await asyncio.get_running_loop().run_in_executor(_describing, call)
