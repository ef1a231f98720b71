"""Return the C library's free memory to the system, with glibc's `malloc_trim`.

The allocator's other settings come from the environment (`app/embedded/allocator.py`).

Fallback: free memory stays with the process until it is used again.
"""

import ctypes
import sys
from typing import Final

from app.sandbox.native import ON, TURNED_OFF

_NAME: Final = "malloc_trim"


class FreeMemory:
    """The memory that the allocator of this process holds and nobody uses."""

    def __init__(self, *, native: bool = True) -> None:
        """Look for the function in the C library; `native` false: do not use it."""
        library = ctypes.CDLL(None) if sys.platform == "linux" else None
        self._trim = getattr(library, _NAME, None) if native else None
        if self._trim is not None:
            self.state = ON
        else:
            reason = f"off: the C library does not export {_NAME}"
            self.state = reason if native else TURNED_OFF

    def release(self, *, keep_bytes: int) -> None:
        """Return all but `keep_bytes` to the system, if the C library can."""
        if self._trim is not None:
            self._trim(ctypes.c_size_t(keep_bytes))
