"""Set the stack size of threads that V8's library starts.

V8 trusts the size that `--stack-size` names and crashes on a smaller stack. The threads are
started in C++, so Python's `threading.stack_size` does not reach them.

Fallback: V8 is given no more than half of the stack that threads get anyway.
"""

import ctypes
import os
import resource
from typing import Final

from app.sandbox.native import ON

# More than `pthread_attr_t` takes on any Linux (56 bytes on x86-64, 64 on arm64).
_ATTRIBUTES_BYTES: Final = 256
# What glibc gives a thread if `ulimit -s` is unlimited, on x86-64 and arm64.
_UNLIMITED_BYTES: Final = 2 * 1024 * 1024


def set_default(size_bytes: int) -> str:
    """Set the stack of threads started from now on, whatever `ulimit -s` is.

    Returns `on`, or `off` and the reason.
    """
    libc = ctypes.CDLL(None)
    attributes = ctypes.create_string_buffer(_ATTRIBUTES_BYTES)
    for name, arguments in (
        ("pthread_attr_init", (attributes,)),
        ("pthread_attr_setstacksize", (attributes, ctypes.c_size_t(size_bytes))),
        ("pthread_setattr_default_np", (attributes,)),
    ):
        function = getattr(libc, name, None)
        if function is None:
            return f"off: the C library does not export {name}"
        if (error := function(*arguments)) != 0:
            return f"off: {name}: {os.strerror(error)}"
    return ON


def raise_main(size_bytes: int) -> str:
    """Let this process's main thread have a stack of this size; its children inherit that.

    The kernel reads the limit whenever that stack grows, and leaves 128 MiB of addresses for it.
    Returns `on`, or `off` and the reason.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if soft != resource.RLIM_INFINITY and soft < size_bytes:
        if hard != resource.RLIM_INFINITY and hard < size_bytes:
            return f"off: the hard limit of the stack is {hard // 1024} KiB"
        resource.setrlimit(resource.RLIMIT_STACK, (size_bytes, hard))
    return ON


def default_bytes() -> int:
    """Return the stack that threads get if `set_default` changed nothing."""
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    return _UNLIMITED_BYTES if soft == resource.RLIM_INFINITY else soft
