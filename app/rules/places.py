"""From offsets in a source to places that people find: line, column, excerpt."""

import codecs
import re
from bisect import bisect_right
from typing import Final

from app.rules.findings import Place
from app.sandbox.excerpts import excerpt_at

# JavaScript's line ends, as bytes of UTF-8; V8 counts lines by the same.
_LINE_END: Final = re.compile(rb"\r\n|[\n\r]|\xe2\x80[\xa8\xa9]")
_UNIT_BYTES: Final = 2


class Places:
    """The places of one source, which need not be UTF-8 throughout."""

    def __init__(self, source: bytes) -> None:
        """Find the lines, once. A byte order mark is no part of the first."""
        self._source = source
        ends = list(_LINE_END.finditer(source))
        first = len(codecs.BOM_UTF8) if source.startswith(codecs.BOM_UTF8) else 0
        self._starts = [first, *(end.end() for end in ends)]
        self._ends = [*(end.start() for end in ends), len(source)]

    def at(self, offset: int) -> Place:
        """Give the place of a byte; one within a line end counts as the end of the line."""
        number = max(0, bisect_right(self._starts, offset) - 1)
        start, end = self._starts[number], self._ends[number]
        before = self._source[start : min(offset, end)].decode("utf-8", "replace")
        column = len(before.encode("utf-16-le")) // _UNIT_BYTES + 1
        # The line alone: what shows a line need not look for it in a mebibyte.
        excerpt = excerpt_at(self._source[start:end], line=1, column=column)
        return Place(line=number + 1, column=column, excerpt=excerpt or "")
