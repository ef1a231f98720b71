"""Let V8 compile code from strings while the platform's own code needs it.

V8 runs with `--disallow-code-generation-from-strings`. A context can be allowed to compile
strings through a function that the library exports (https://v8.dev/docs/embed describes contexts).

Fallback: the harness contains the web APIs from the start, and nothing is compiled later.
"""

import ctypes
from typing import Final

from app.sandbox.native import ON, TURNED_OFF, exports

# v8::Isolate::GetCurrentContext() and v8::Context::AllowCodeGenerationFromStrings(bool).
# A v8::Local is one pointer.
_CONTEXT: Final = "_ZN2v87Isolate17GetCurrentContextEv"
_ALLOW: Final = "_ZN2v87Context30AllowCodeGenerationFromStringsEb"


class CodeGeneration:
    """The permission of the current context to compile strings."""

    def __init__(self, library: ctypes.CDLL, *, native: bool = True) -> None:
        """Look for V8's functions in its library; `native` false: do not use them."""
        names = (exports.CURRENT_ISOLATE, _CONTEXT, _ALLOW)
        self.state = exports.find(library, names) if native else TURNED_OFF
        if self.state == ON:
            self._isolate, self._context, self._allow = (getattr(library, name) for name in names)
            self._isolate.argtypes, self._isolate.restype = [], ctypes.c_void_p
            self._context.argtypes, self._context.restype = [ctypes.c_void_p], ctypes.c_void_p
            self._allow.argtypes, self._allow.restype = [ctypes.c_void_p, ctypes.c_bool], None

    def permit(self, *, allowed: bool) -> None:
        """Allow or forbid it; runs on the isolate's thread, and only in state `on`."""
        self._allow(self._context(self._isolate()), allowed)
