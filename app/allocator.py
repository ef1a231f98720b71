"""Give memory back: what payloads took is the system's again once they have passed."""

import asyncio
import ctypes
import sys
from typing import Final

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

_MIB: Final = 1024 * 1024
# The copies of a payload's MiB that are held at once, on its way through a process.
_KEPT_BYTES: Final = 4 * _MIB
_LARGE_BYTES: Final = 256 * 1024
_QUIET_SECONDS: Final = 1.0

_trims: "dict[asyncio.AbstractEventLoop, asyncio.TimerHandle]" = {}


def give_memory_back() -> None:
    """Have glibc keep what the next chunk of a payload takes, and not much more.

    Left alone it learns from chunks of a MiB to keep tens of MiB in each thread's arena. Where
    it gives all of them back at once, each chunk comes as new pages: 256 page faults a MiB and
    copy, which were half of the CPU time that a payload of 1 MB took in API and worker.
    With another C library, do nothing.
    """
    mallopt = _function_of_glibc("mallopt")
    if mallopt is None:
        return
    # The first of these also ends glibc's learning.
    mallopt(_M_MMAP_THRESHOLD, 2 * _MIB)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    mallopt(_M_ARENA_MAX, 1)


def trim_later(size_bytes: int) -> None:
    """Note that a payload passes; a second after the last large one, give free memory back.

    After many at once there is some free between what is used, which no threshold gives back.
    """
    if size_bytes < _LARGE_BYTES:
        return
    loop = asyncio.get_running_loop()
    due = _trims.pop(loop, None)
    if due is not None:
        due.cancel()
    _trims[loop] = loop.call_later(_QUIET_SECONDS, _trim, loop)


def _trim(loop: asyncio.AbstractEventLoop) -> None:
    _trims.pop(loop, None)
    malloc_trim = _function_of_glibc("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(ctypes.c_size_t(_KEPT_BYTES))


def _function_of_glibc(name: str) -> "ctypes._NamedFuncPointer | None":
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), name, None)
