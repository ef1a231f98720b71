"""Read schemas off the event loop, in threads of their own: no lookup of blobs waits for them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

# Reading is bound by the CPU. Tables are for readers: they hold no upload up.
_comparing: Final = ThreadPoolExecutor(1, thread_name_prefix="schemas-comparing")
_describing: Final = ThreadPoolExecutor(1, thread_name_prefix="schemas-describing")


async def in_comparing_thread(call: Callable[[], T]) -> T:
    """Call in the thread that compares; calls wait in their order."""
    return await asyncio.get_running_loop().run_in_executor(_comparing, call)


async def in_describing_thread(call: Callable[[], T]) -> T:
    """Call in the thread that makes tables; calls wait in their order."""
    return await asyncio.get_running_loop().run_in_executor(_describing, call)
