"""Whether V8 was refused memory for a buffer: what it counts itself, beyond user code's reach.

A script can write V8's words for it into an error that a buffer threw for another reason. So the
words count only where V8 took a sample of its histogram of failed allocations. It takes none where
`resize` fails, whose errors harness.js reads before user code has them.

V8 asks for a histogram by its name whenever it has a sample and no histogram, thousands of times
in some runs. So both callbacks are functions of the C library, which cost next to
nothing: `getenv` finds a pointer by a name, `sem_post` adds one to what is there.
"""

import ctypes
from typing import Final

# v8::Isolate::GetCurrent(), SetCreateHistogramFunction(CreateHistogramCallback) and
# SetAddHistogramSampleFunction(AddHistogramSampleCallback), of v8-isolate.h.
_ISOLATE: Final = "_ZN2v87Isolate10GetCurrentEv"
_CREATE: Final = "_ZN2v87Isolate26SetCreateHistogramFunctionEPFPvPKciimE"
_SAMPLE: Final = "_ZN2v87Isolate29SetAddHistogramSampleFunctionEPFvPviE"

_FAILURES: Final = b"V8.ArrayBufferNewSizeFailures"
# More than a `sem_t` has on any Linux, and where it may begin.
_SEMAPHORE_BYTES: Final = 64
_ALIGNMENT: Final = 16

_libc: Final = ctypes.CDLL(None)
_libc.putenv.argtypes = [ctypes.c_void_p]
_libc.sem_init.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint]
_libc.sem_getvalue.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)]


def _make_variable() -> tuple[object, int, int]:
    """Make an environment variable whose value is a semaphore: its memory and both addresses."""
    head = _FAILURES + b"="
    memory = ctypes.create_string_buffer(len(head) + _ALIGNMENT + _SEMAPHORE_BYTES)
    start = ctypes.addressof(memory)
    semaphore = start + len(head) + -(start + len(head)) % _ALIGNMENT
    variable = semaphore - len(head)
    ctypes.memmove(variable, head, len(head))
    return memory, variable, semaphore


# For as long as the process lives.
_MEMORY, _VARIABLE, _SEMAPHORE = _make_variable()


class Refusals:
    """What V8 was refused in this process since `reset`."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """Look for V8's functions in its library."""
        # Where a build of the library does not export these, V8's words and frames must do.
        self.is_counted = all(hasattr(library, name) for name in (_ISOLATE, _CREATE, _SAMPLE))
        if self.is_counted:
            self._isolate = getattr(library, _ISOLATE)
            self._isolate.argtypes, self._isolate.restype = [], ctypes.c_void_p
            self._setters = [
                (getattr(library, _CREATE), _libc.getenv),
                (getattr(library, _SAMPLE), _libc.sem_post),
            ]
            for setter, _ in self._setters:
                setter.argtypes, setter.restype = [ctypes.c_void_p, ctypes.c_void_p], None

    def watch(self) -> None:
        """Have V8 tell; on the isolate's thread."""
        if self.is_counted:
            _libc.putenv(_VARIABLE)  # the memory itself; the environment was cleared before
            isolate = self._isolate()
            for setter, function in self._setters:
                setter(isolate, ctypes.cast(function, ctypes.c_void_p))

    def reset(self) -> None:
        """Forget; V8 is at rest."""
        _libc.sem_init(_SEMAPHORE, 0, 0)

    def any(self) -> bool:
        """Say whether there was one; True where nobody counts."""
        count = ctypes.c_int()
        _libc.sem_getvalue(_SEMAPHORE, count)
        return count.value > 0 or not self.is_counted
