"""Run the encoding and merging of parts in threads, few at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

# Encoding is bound by the CPU: more threads only hold more memory.
_THREADS: Final = 2
_threads: Final = ThreadPoolExecutor(_THREADS, thread_name_prefix="parts")


async def in_thread(call: Callable[..., T], *arguments: object) -> T:
    """Call in a thread of the pool; calls wait in their order."""
    return await asyncio.get_running_loop().run_in_executor(_threads, call, *arguments)
