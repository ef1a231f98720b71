"""Say what the kernel of this machine offers, and by which numbers it is asked."""

import ctypes
import platform
from typing import Final

# Arguments of `tests.security.without_call`: what loads a filter, and what asks for Landlock.
SECCOMP: Final = {"x86_64": "317", "aarch64": "277"}[platform.machine()]
LANDLOCK: Final = "444"


def landlock_version() -> int:
    found: int = ctypes.CDLL(None).syscall(int(LANDLOCK), None, ctypes.c_size_t(0), 1)
    return found
