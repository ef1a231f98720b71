"""Convert offsets in a source to positions: line, column and excerpt."""

import codecs
from typing import Final

from app.lint.diagnostics import Position
from app.sandbox.excerpts import excerpt_at

# JavaScript's line terminators in UTF-8; V8 counts the same ones, and "\r\n" as one.
_LINE_ENDS: Final = (b"\n", b"\r", b"\xe2\x80\xa8", b"\xe2\x80\xa9")
_UNIT_BYTES: Final = 2


class Positions:
    """The positions in one source, which may contain invalid UTF-8.

    Each lookup searches the source's bytes, which takes well below a millisecond for a MiB; a
    list of all line starts could have a million entries.
    """

    def __init__(self, source: bytes) -> None:
        """Take the source."""
        self._source = source

    def at(self, offset: int) -> Position:
        """Return the position of a byte; one inside a line terminator is the end of its line."""
        if self._source[offset - 1 : offset + 1] == b"\r\n":
            offset -= 1
        ends = sum(self._source.count(end, 0, offset) for end in _LINE_ENDS)
        line = ends - self._source.count(b"\r\n", 0, offset) + 1
        starts = [
            index + len(end)
            for end in _LINE_ENDS
            if (index := self._source.rfind(end, 0, offset)) >= 0
        ]
        # A byte order mark is not part of the first line.
        first = len(codecs.BOM_UTF8) if self._source.startswith(codecs.BOM_UTF8) else 0
        start = max(starts, default=first)
        next_ends = [self._source.find(end, start) for end in _LINE_ENDS]
        line_end = min((index for index in next_ends if index >= 0), default=len(self._source))
        before = self._source[start : min(offset, line_end)].decode("utf-8", "replace")
        column = len(before.encode("utf-16-le")) // _UNIT_BYTES + 1
        # Only the line is passed on, so that the excerpt is not searched for in a MiB.
        excerpt = excerpt_at(self._source[start:line_end], line=1, column=column)
        return Position(line=line, column=column, excerpt=excerpt or "")
