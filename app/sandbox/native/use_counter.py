"""Record which of V8's features an isolate has used, at next to no cost.

V8 calls an embedder's function for each use, which for some methods of arrays and strings is each
call: a function of Python would make those ten times as slow. So this one is machine code, for
x86-64, which sets a byte of a table.
"""

import ctypes
import mmap
from typing import Final

# v8::Isolate::SetUseCounterCallback(void (*)(Isolate*, UseCounterFeature))
SET_CALLBACK: Final = "_ZN2v87Isolate21SetUseCounterCallbackEPFvPS0_NS0_17UseCounterFeatureEE"
# V8 has fewer features; a number above would set the byte of another one.
_FEATURES: Final = 256

_ENTRY: Final = b"\xf3\x0f\x1e\xfa"  # endbr64
_LOAD_TABLE: Final = b"\x48\xb8"  # mov rax, <the table's address, 8 bytes>
_SET_BYTE: Final = (
    b"\x40\x0f\xb6\xce"  # movzx ecx, sil
    b"\xc6\x04\x08\x01"  # mov byte [rax + rcx], 1
    b"\xc3"  # ret
)

_libc: Final = ctypes.CDLL(None)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class UseCounter:
    """The features that isolates have used since `reset`."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """Write the function. Raises OSError if this process may not make memory executable."""
        self._table = (ctypes.c_ubyte * _FEATURES)()
        code = _ENTRY + _LOAD_TABLE + ctypes.addressof(self._table).to_bytes(8, "little")
        self._page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._page.write(code + _SET_BYTE)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        if _libc.mprotect(self._address, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC) != 0:
            message = "memory cannot be made executable"
            raise OSError(message)
        self._set = getattr(library, SET_CALLBACK)
        self._set.argtypes, self._set.restype = [ctypes.c_void_p, ctypes.c_void_p], None

    def watch(self, isolate: int) -> None:
        """Record the features that this isolate uses from now on."""
        self._set(isolate, self._address)

    def reset(self) -> None:
        """Forget all features."""
        ctypes.memset(self._table, 0, _FEATURES)

    def used(self) -> set[int]:
        """Return the features' numbers."""
        return {number for number, byte in enumerate(bytes(self._table)) if byte}
