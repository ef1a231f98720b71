"""Provide web APIs in the sandbox: a core in each isolate, the rest at first use.

The libraries behind `URL`, `TextDecoder`, `structuredClone` and others are 900 KB of source, which
would make an isolate a third slower to create. They stay outside until a script uses one of their
names: `globals.js` then requests the source in pieces through the shared memory and compiles it,
for which the context may compile strings meanwhile (`app.sandbox.native.code_generation`). Without
that permission the libraries are part of the harness.
"""

import re
from pathlib import Path
from typing import Final

from app.sandbox.console import HEAD_BYTES, PIECE_OFFSET, Slot
from app.sandbox.native import ON
from app.sandbox.native.code_generation import CodeGeneration

# The requests of globals.js; a bundle's number is added to the last.
_ALLOW_CODE, _FORBID_CODE, _FIRST_BUNDLE = 1, 2, 3
_BUNDLES: Final = ("url", "encoding", "core", "digest")
_FOLDER: Final = Path(__file__).parent
# The files of the harness that harness.js calls by name.
_PARTS: Final = {
    **{name: _FOLDER / f"{name}.js" for name in ("timers", "console", "globals")},
    **{name: _FOLDER.parent / f"{name}.js" for name in ("bytes", "states", "stream")},
}
# Except comments that begin with `//#`, which V8 reads. No string in our JavaScript spans lines.
_UNREAD: Final = re.compile(rb"^[ ]+(?://(?!#)[^\n]*)?|^//(?!#)[^\n]*", re.MULTILINE)


class WebApis:
    """The sources of the web APIs, read before a cell loses access to files."""

    def __init__(self, code_generation: CodeGeneration) -> None:
        """Read the sources."""
        self._parts = {name: compact(path.read_bytes()) for name, path in _PARTS.items()}
        self._bundles = [
            _function((_FOLDER / "bundles" / f"{name}.js").read_bytes()) for name in _BUNDLES
        ]
        self._code_generation = code_generation

    def source(self) -> bytes:
        """Return the part of the harness that defines `web`: an object of functions."""
        bundles = b"null"
        if self._code_generation.state != ON:
            members = zip(_BUNDLES, self._bundles, strict=True)
            texts = [b"%b: %b" % (name.encode(), text) for name, text in members]
            bundles = b"{ __proto__: null, %b }" % b",\n".join(texts)
        parts = [b"%b: %b" % (name.encode(), text) for name, text in self._parts.items()]
        return b"globalThis.web = { __proto__: null,\n%b, bundles: %b };\n" % (
            b",\n".join(parts),
            bundles,
        )

    def answer(self, memory: memoryview) -> bool:
        """Answer the request in the shared memory; false: there is none.

        Runs on the isolate's thread while JavaScript waits.
        """
        head = memory[:HEAD_BYTES].cast("I")
        request = head[Slot.REQUEST]
        if request == 0:
            return False
        if request in (_ALLOW_CODE, _FORBID_CODE):
            self._code_generation.permit(allowed=request == _ALLOW_CODE)
            return True
        source, start = self._bundles[request - _FIRST_BUNDLE], head[Slot.OFFSET]
        piece_memory = memory[PIECE_OFFSET:]
        piece = source[start : start + len(piece_memory)]
        piece_memory[: len(piece)] = piece
        head[Slot.LENGTH] = len(piece)
        return True


def compact(source: bytes) -> bytes:
    """Remove indentation and comment lines: each isolate has our source in its heap."""
    return _UNREAD.sub(b"", source)


def _function(bundle: bytes) -> bytes:
    """Return the text of a function that returns a bundle's exports."""
    return b'(() => { "use strict";\n%b\nreturn bundle; })' % bundle
