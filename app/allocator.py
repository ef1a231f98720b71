"""Return free memory to the system after large payloads have passed through a process."""

import asyncio
from typing import Final

from app.sandbox.native.malloc import FreeMemory

# The chunks of a payload that a process holds at once; the allocator keeps room for them, as
# app/embedded/allocator.py says.
_KEPT_BYTES: Final = 4 * 1024 * 1024
_LARGE_BYTES: Final = 256 * 1024
_QUIET_SECONDS: Final = 1.0

_free_memory = FreeMemory()
_trims: "dict[asyncio.AbstractEventLoop, asyncio.TimerHandle]" = {}


def configure_allocator(*, native: bool) -> str:
    """Choose whether memory is returned; returns `on`, or `off` and the reason."""
    global _free_memory  # noqa: PLW0603 - a process has one allocator
    _free_memory = FreeMemory(native=native)
    return _free_memory.state


def trim_later(size_bytes: int) -> None:
    """Note a payload; one second after the last large one, free memory is returned.

    Concurrent payloads leave free memory between used memory, which the allocator's own
    threshold does not return.
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
    _free_memory.release(keep_bytes=_KEPT_BYTES)
