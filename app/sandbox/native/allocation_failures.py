"""Count the array buffers for which V8 failed to allocate memory, out of user code's reach.

A script can write V8's out-of-memory message into an error that a buffer threw for another
reason. With this module the message counts only if V8 added a sample to its histogram of failed
allocations. It adds none when `resize` fails; harness.js reads those errors before user code
sees them.

V8 looks a histogram up by name whenever it has a sample and no histogram, thousands of times in
some runs. Both callbacks are therefore C library functions, which cost next to nothing: `getenv`
finds a pointer by name, `sem_post` increments a counter behind it.

Fallback: stack frames and V8's message decide on their own.
"""

import ctypes
from typing import Final

from app.sandbox.native import ON, TURNED_OFF, exports

# SetCreateHistogramFunction(CreateHistogramCallback) and
# SetAddHistogramSampleFunction(AddHistogramSampleCallback), of v8-isolate.h.
_CREATE: Final = "_ZN2v87Isolate26SetCreateHistogramFunctionEPFPvPKciimE"
_SAMPLE: Final = "_ZN2v87Isolate29SetAddHistogramSampleFunctionEPFvPviE"

_HISTOGRAM: Final = b"V8.ArrayBufferNewSizeFailures"
# More than a `sem_t` takes on any Linux, and its alignment.
_SEMAPHORE_BYTES: Final = 64
_ALIGNMENT: Final = 16

_libc: Final = ctypes.CDLL(None)
_libc.putenv.argtypes = [ctypes.c_void_p]
_libc.sem_init.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint]
_libc.sem_getvalue.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)]


def _make_variable() -> tuple[object, int, int]:
    """Make an environment variable whose value is a semaphore: its memory and both addresses."""
    head = _HISTOGRAM + b"="
    memory = ctypes.create_string_buffer(len(head) + _ALIGNMENT + _SEMAPHORE_BYTES)
    start = ctypes.addressof(memory)
    semaphore = start + len(head) + -(start + len(head)) % _ALIGNMENT
    variable = semaphore - len(head)
    ctypes.memmove(variable, head, len(head))
    return memory, variable, semaphore


# The environment keeps a pointer to it for the life of the process.
_MEMORY, _VARIABLE, _SEMAPHORE = _make_variable()


class AllocationFailures:
    """The array buffers that V8 failed to allocate in this process since `reset`."""

    def __init__(self, library: ctypes.CDLL, *, native: bool = True) -> None:
        """Look for V8's functions in its library; `native` false: do not use them."""
        names = (exports.CURRENT_ISOLATE, _CREATE, _SAMPLE)
        self.state = exports.find(library, names) if native else TURNED_OFF
        if self.state == ON:
            self._isolate = getattr(library, exports.CURRENT_ISOLATE)
            self._isolate.argtypes, self._isolate.restype = [], ctypes.c_void_p
            self._setters = [
                (getattr(library, _CREATE), _libc.getenv),
                (getattr(library, _SAMPLE), _libc.sem_post),
            ]
            for setter, _ in self._setters:
                setter.argtypes, setter.restype = [ctypes.c_void_p, ctypes.c_void_p], None

    def watch(self) -> None:
        """Start counting in the current isolate; runs on the isolate's thread."""
        if self.state == ON:
            _libc.putenv(_VARIABLE)  # not a copy of it; the environment was cleared before
            isolate = self._isolate()
            for setter, function in self._setters:
                setter(isolate, ctypes.cast(function, ctypes.c_void_p))

    def reset(self) -> None:
        """Set the count to 0; V8 must be at rest."""
        _libc.sem_init(_SEMAPHORE, 0, 0)

    def any(self) -> bool:
        """Return whether an allocation may have failed; always true if nothing is counted."""
        count = ctypes.c_int()
        _libc.sem_getvalue(_SEMAPHORE, count)
        return count.value > 0 or self.state != ON
