"""Keep the encoding, merging and reading of parts off the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

# Encoding is bound by the CPU: more threads only hold more memory.
_THREADS: Final = 2
_threads: Final = ThreadPoolExecutor(_THREADS, thread_name_prefix="parts")
# Downloads have threads of their own: neither lookups nor uploads wait for them.
_reading_threads: Final = ThreadPoolExecutor(_THREADS, thread_name_prefix="parts-reading")


async def in_thread(call: Callable[..., T], *arguments: object) -> T:
    """Call in a thread for writing; calls wait in their order, and no reader waits for them."""
    return await asyncio.get_running_loop().run_in_executor(_threads, call, *arguments)


async def in_reading_thread(call: Callable[..., T], *arguments: object) -> T:
    """Call in a thread for reading many bytes."""
    return await asyncio.get_running_loop().run_in_executor(_reading_threads, call, *arguments)
