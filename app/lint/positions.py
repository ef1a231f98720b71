"""From offsets in a source to places that people find: line, column, excerpt."""

import codecs
from typing import Final

from app.lint.findings import Position
from app.sandbox.excerpts import excerpt_at

# JavaScript's line ends, as bytes of UTF-8; V8 counts lines by the same, and "\r\n" as one.
_LINE_ENDS: Final = (b"\n", b"\r", b"\xe2\x80\xa8", b"\xe2\x80\xa9")
_UNIT_BYTES: Final = 2


class Positions:
    """The places of one source, which need not be UTF-8 throughout.

    Each is found by searching the source's bytes, which takes well below a millisecond for a
    mebibyte; a list of all its lines may have a million entries.
    """

    def __init__(self, source: bytes) -> None:
        """Take the source."""
        self._source = source

    def at(self, offset: int) -> Position:
        """Give the place of a byte; one within a line end counts as the end of the line."""
        if self._source[offset - 1 : offset + 1] == b"\r\n":
            offset -= 1
        ends = sum(self._source.count(end, 0, offset) for end in _LINE_ENDS)
        line = ends - self._source.count(b"\r\n", 0, offset) + 1
        starts = [
            found + len(end)
            for end in _LINE_ENDS
            if (found := self._source.rfind(end, 0, offset)) >= 0
        ]
        # A byte order mark is no part of the first line.
        first = len(codecs.BOM_UTF8) if self._source.startswith(codecs.BOM_UTF8) else 0
        start = max(starts, default=first)
        found_ends = [self._source.find(end, start) for end in _LINE_ENDS]
        line_end = min((found for found in found_ends if found >= 0), default=len(self._source))
        before = self._source[start : min(offset, line_end)].decode("utf-8", "replace")
        column = len(before.encode("utf-16-le")) // _UNIT_BYTES + 1
        # The line alone: what shows a line need not look for it in a mebibyte.
        excerpt = excerpt_at(self._source[start:line_end], line=1, column=column)
        return Position(line=line, column=column, excerpt=excerpt or "")
