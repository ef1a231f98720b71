"""V8's start-up snapshot with a script's world in it, so that no isolate compiles the script.

V8 makes every isolate from a snapshot, and can make a snapshot in which a script has run
(https://v8.dev/blog/custom-startup-snapshots). The library's C interface has neither, but it
exports V8's own functions under their C++ names, which hold for the pinned version.
"""

import ctypes
import mmap
import sys
from typing import Final

# v8::internal::CreateSnapshotDataBlobInternal(FunctionCodeHandling, char const*, Flags<…>)
_CREATE: Final = (
    "_ZN2v88internal30CreateSnapshotDataBlobInternalENS_15SnapshotCreator"
    "20FunctionCodeHandlingEPKcNS_4base5FlagsINS0_8Snapshot14SerializerFlagEiiEE"
)
# v8::internal::Snapshot::DefaultSnapshotBlob(), which V8 asks for every isolate.
_DEFAULT: Final = "_ZN2v88internal8Snapshot19DefaultSnapshotBlobEv"
_KEEP_CODE: Final = 1
_NO_FLAGS: Final = 0

_libc: Final = ctypes.CDLL(None)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class _Blob(ctypes.Structure):
    """V8's `StartupData`."""

    _fields_ = (("data", ctypes.c_void_p), ("bytes", ctypes.c_int))


def install(library: ctypes.CDLL, script: bytes) -> bool:
    """Run `script` in a snapshot from which every isolate of this process is made.

    False: this library or system has no way to, and nothing has happened. Raises
    RuntimeError when the script throws.
    """
    if sys.platform != "linux" or not (hasattr(library, _CREATE) and hasattr(library, _DEFAULT)):
        return False
    create, default = getattr(library, _CREATE), getattr(library, _DEFAULT)
    create.argtypes, create.restype = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int], _Blob
    default.argtypes, default.restype = [], ctypes.POINTER(_Blob)
    made: _Blob = create(_KEEP_CODE, script, _NO_FLAGS)
    if not made.data:
        message = "V8 makes no snapshot of the script"
        raise RuntimeError(message)
    return _replace(default().contents, made)


def _replace(constant: _Blob, made: _Blob) -> bool:
    """Write over a constant of the library: its page is read-only before and after."""
    address = ctypes.addressof(constant)
    page = address - address % mmap.PAGESIZE
    length = address + ctypes.sizeof(_Blob) - page
    if _libc.mprotect(page, length, mmap.PROT_READ | mmap.PROT_WRITE) != 0:
        return False
    constant.data, constant.bytes = made.data, made.bytes
    if _libc.mprotect(page, length, mmap.PROT_READ) != 0:
        message = "a page of the library stays writable"
        raise RuntimeError(message)
    return True
