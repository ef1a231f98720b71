"""Show a place in the user's source: its line, and a caret under the column."""

from typing import Final

# JavaScript's line ends but "\n"; V8 counts lines by the same.
_OTHER_LINE_ENDS: Final = ("\r\n", "\r", "\u2028", "\u2029")
_WIDTH: Final = 120
_BEFORE: Final = 80
_UNIT_BYTES: Final = 2


class Lines:
    """A source, split once for all the places in it."""

    def __init__(self, source: bytes) -> None:
        """Split `source`, UTF-8."""
        text = source.decode("utf-8", "replace")
        # A regular expression takes four times as long, which a million lines show.
        for end in _OTHER_LINE_ENDS:
            text = text.replace(end, "\n")
        self._lines = text.split("\n")

    def text(self, line: int) -> str | None:
        """Return a line without its end, or None when the source does not have it."""
        return self._lines[line - 1] if 1 <= line <= len(self._lines) else None

    def clamp(self, line: int, column: int) -> tuple[int, int]:
        """Move a place behind the source to its end.

        "Unexpected end of input" is found in the line that the cell appends to every source.
        """
        if line <= len(self._lines):
            return line, column
        return len(self._lines), len(_units(self._lines[-1])) // _UNIT_BYTES + 1

    def excerpt(self, line: int, column: int) -> str | None:
        """Return two lines, or None for a place that the source does not have.

        `line` and `column` are 1-based, the column in UTF-16 units. Of a long line the part
        around the column is shown, with an ellipsis where it was cut. Tabs stay tabs in both
        lines, so that the caret stands right whatever a tab's width.
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
    """Show one place of a source, as `Lines.excerpt` does."""
    return Lines(source).excerpt(line, column)


def _units(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")
