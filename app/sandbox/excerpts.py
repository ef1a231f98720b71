"""Excerpt a position of the user's source: its line, and a caret under the column."""

import codecs
from typing import Final

# JavaScript's line ends except "\n", as V8 counts lines.
_OTHER_LINE_ENDS: Final = ("\r\n", "\r", "\u2028", "\u2029")
_WIDTH: Final = 120
_BEFORE: Final = 80
_UNIT_BYTES: Final = 2


class Lines:
    """A source, split into lines once for all positions in it."""

    def __init__(self, source: bytes) -> None:
        """Split `source`, UTF-8; a byte order mark is not part of its first line."""
        text = source.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
        # A regular expression takes four times as long, measured on a million lines.
        for end in _OTHER_LINE_ENDS:
            text = text.replace(end, "\n")
        self._lines = text.split("\n")

    def text(self, line: int) -> str | None:
        """Return a line without its end; None: the source has no such line."""
        return self._lines[line - 1] if 1 <= line <= len(self._lines) else None

    def clamp(self, line: int, column: int) -> tuple[int, int]:
        """Move a position behind the source to its end.

        V8 reports "Unexpected end of input" in the line that the cell appends to every source.
        """
        # If a source ends in CR, the LF that the cell appends belongs to the same line end.
        last = len(self._lines)
        end = len(_units(self._lines[-1])) // _UNIT_BYTES + 1
        if line < last or (line == last and column <= end):
            return line, column
        return last, end

    def excerpt(self, line: int, column: int) -> str | None:
        """Return two lines, or None for a position that the source does not have.

        `line` and `column` are 1-based, the column in UTF-16 units. A long line is cut around the
        column and marked with ellipses. Tabs stay tabs in both lines, so that the caret is in
        place whatever a tab's width.
        """
        if not 1 <= line <= len(self._lines):
            return None
        text = self._lines[line - 1]
        units = _units(text)
        if not 1 <= column <= len(units) // _UNIT_BYTES + 1:
            return None
        before = units[: (column - 1) * _UNIT_BYTES].decode("utf-16-le", "replace")
        start = max(0, len(before) - _BEFORE)
        shown = text[start : start + _WIDTH]
        left = "…" if start else ""
        right = "…" if start + _WIDTH < len(text) else ""
        indent = "".join("\t" if char == "\t" else " " for char in left + before[start:])
        return f"{left}{shown}{right}\n{indent}^"


def excerpt_at(source: bytes, *, line: int, column: int) -> str | None:
    """Return the excerpt of one position, as `Lines.excerpt` does."""
    return Lines(source).excerpt(line, column)


def _units(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")
