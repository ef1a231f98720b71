"""Make isolates from a V8 startup snapshot in which a script has already run.

V8 creates every isolate from a snapshot and can build one in which a script has run
(https://v8.dev/blog/custom-startup-snapshots). mini-racer's C interface offers neither, but its
library exports V8's own functions under their C++ names.

Fallback: each isolate runs the script itself.
"""

import ctypes
import mmap
import sys
from typing import Final

from app.sandbox.native import ON, exports

# v8::internal::CreateSnapshotDataBlobInternal(FunctionCodeHandling, char const*, Flags<…>)
_CREATE: Final = (
    "_ZN2v88internal30CreateSnapshotDataBlobInternalENS_15SnapshotCreator"
    "20FunctionCodeHandlingEPKcNS_4base5FlagsINS0_8Snapshot14SerializerFlagEiiEE"
)
# v8::internal::Snapshot::DefaultSnapshotBlob(), which V8 calls for every isolate.
_DEFAULT: Final = "_ZN2v88internal8Snapshot19DefaultSnapshotBlobEv"
_KEEP_CODE: Final = 1
_NO_FLAGS: Final = 0

_libc: Final = ctypes.CDLL(None)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class _Blob(ctypes.Structure):
    """V8's `StartupData`."""

    _fields_ = (("data", ctypes.c_void_p), ("bytes", ctypes.c_int))


def install(library: ctypes.CDLL, script: bytes) -> str:
    """Run `script` in a snapshot from which every isolate of this process is made.

    Returns `on`, or `off` and the reason; then nothing has changed. Raises RuntimeError if the
    script throws.
    """
    if sys.platform != "linux":
        return f"off: not implemented for {sys.platform}"
    state = exports.find(library, (_CREATE, _DEFAULT))
    if state != ON:
        return state
    create, default = getattr(library, _CREATE), getattr(library, _DEFAULT)
    create.argtypes, create.restype = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int], _Blob
    default.argtypes, default.restype = [], ctypes.POINTER(_Blob)
    created: _Blob = create(_KEEP_CODE, script, _NO_FLAGS)
    if not created.data:
        message = "V8 makes no snapshot of the script"
        raise RuntimeError(message)
    return _replace(default().contents, created)


def _replace(constant: _Blob, created: _Blob) -> str:
    """Overwrite a constant of the library, whose page is read-only before and after."""
    address = ctypes.addressof(constant)
    page = address - address % mmap.PAGESIZE
    length = address + ctypes.sizeof(_Blob) - page
    if _libc.mprotect(page, length, mmap.PROT_READ | mmap.PROT_WRITE) != 0:
        return "off: the library's constants stay read-only"
    constant.data, constant.bytes = created.data, created.bytes
    if _libc.mprotect(page, length, mmap.PROT_READ) != 0:
        message = "a page of the library stays writable"
        raise RuntimeError(message)
    return ON
