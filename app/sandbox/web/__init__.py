"""Web APIs in the sandbox: what isolates have of them, and how they get the rest at first use.

The libraries behind `URL`, `TextDecoder`, `structuredClone` and others are some 900 KB of source,
which would make each isolate a third slower to make. So they stay on this side until a script asks
for one of their names: `globals.js` then rings, and reads the source in pieces of the memory that
both share. It has V8 compile it, for which code from strings is allowed meanwhile: V8's own
functions do that, by their C++ names (https://v8.dev/docs/embed has them). Where a build of the
library does not export these, the sources are a part of the harness.
"""

import ctypes
import re
from pathlib import Path
from typing import Final

from app.sandbox.console import HEAD_BYTES, PIECE_OFFSET, Slot

# v8::Isolate::GetCurrent(), its GetCurrentContext(), and
# v8::Context::AllowCodeGenerationFromStrings(bool). A v8::Local is one pointer.
_ISOLATE: Final = "_ZN2v87Isolate10GetCurrentEv"
_CONTEXT: Final = "_ZN2v87Isolate17GetCurrentContextEv"
_ALLOW: Final = "_ZN2v87Context30AllowCodeGenerationFromStringsEb"

# What globals.js asks for; a bundle's number comes on top of the last.
_ALLOW_CODE, _FORBID_CODE, _FIRST_BUNDLE = 1, 2, 3
_BUNDLES: Final = ("url", "encoding", "core", "digest")
_PARTS: Final = ("timers", "console", "globals")
_FOLDER: Final = Path(__file__).parent
# Not what begins with `//#`, which is for V8. No text in our JavaScript goes over a line's end.
_UNREAD: Final = re.compile(rb"^[ ]+(?://(?!#)[^\n]*)?|^//(?!#)[^\n]*", re.MULTILINE)


class Shelf:
    """The sources, and V8's permission to compile them; read before a cell can read no file."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """Read the sources; look for V8's functions in its library."""
        self._parts = {name: compact((_FOLDER / f"{name}.js").read_bytes()) for name in _PARTS}
        self._bundles = [
            _function((_FOLDER / "bundles" / f"{name}.js").read_bytes()) for name in _BUNDLES
        ]
        self.is_lazy = all(hasattr(library, name) for name in (_ISOLATE, _CONTEXT, _ALLOW))
        if self.is_lazy:
            self._isolate, self._context = getattr(library, _ISOLATE), getattr(library, _CONTEXT)
            self._allow = getattr(library, _ALLOW)
            self._isolate.argtypes, self._isolate.restype = [], ctypes.c_void_p
            self._context.argtypes, self._context.restype = [ctypes.c_void_p], ctypes.c_void_p
            self._allow.argtypes, self._allow.restype = [ctypes.c_void_p, ctypes.c_bool], None

    def parts(self) -> bytes:
        """Give what the harness starts with: a list of functions under the name `web`."""
        bundles = b"null"
        if not self.is_lazy:
            members = zip(_BUNDLES, self._bundles, strict=True)
            texts = [b"%b: %b" % (name.encode(), text) for name, text in members]
            bundles = b"{ __proto__: null, %b }" % b",\n".join(texts)
        parts = [b"%b: %b" % (name.encode(), text) for name, text in self._parts.items()]
        return b"globalThis.web = { __proto__: null,\n%b, bundles: %b };\n" % (
            b",\n".join(parts),
            bundles,
        )

    def answer(self, memory: memoryview) -> bool:
        """Answer what JavaScript asks in its bell, on its thread; False: it asks for nothing."""
        head = memory[:HEAD_BYTES].cast("I")
        asked = head[Slot.ASK]
        if asked == 0:
            return False
        if asked in (_ALLOW_CODE, _FORBID_CODE):
            self._allow(self._context(self._isolate()), asked == _ALLOW_CODE)
            return True
        source, start = self._bundles[asked - _FIRST_BUNDLE], head[Slot.AT]
        room = memory[PIECE_OFFSET:]
        piece = source[start : start + len(room)]
        room[: len(piece)] = piece
        head[Slot.LENGTH] = len(piece)
        return True


def compact(source: bytes) -> bytes:
    """Leave out indentation and lines of comment: each isolate has our source in its heap."""
    return _UNREAD.sub(b"", source)


def _function(bundle: bytes) -> bytes:
    """Make the text of a function that gives a bundle's exports."""
    return b'(() => { "use strict";\n%b\nreturn bundle; })' % bundle
