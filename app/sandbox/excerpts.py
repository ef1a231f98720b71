"""Show a place in the user's source: its line, and a caret under the column."""

import re
from typing import Final

# JavaScript's line ends; V8 counts lines by the same.
_LINE_END: Final = re.compile("\r\n|[\n\r\u2028\u2029]")
_WIDTH: Final = 120
_BEFORE: Final = 80
_UNIT_BYTES: Final = 2


def clamp_place(source: bytes, *, line: int, column: int) -> tuple[int, int]:
    """Move a place behind the source to its end.

    "Unexpected end of input" is found in the line that the cell appends to every source.
    """
    lines = _LINE_END.split(source.decode("utf-8", "replace"))
    if line <= len(lines):
        return line, column
    return len(lines), len(lines[-1].encode("utf-16-le", "surrogatepass")) // _UNIT_BYTES + 1


def excerpt_at(source: bytes, *, line: int, column: int) -> str | None:
    """Return two lines, or None for a place that the source does not have.

    `line` and `column` are 1-based, the column in UTF-16 units. Of a long line the part
    around the column is shown, with an ellipsis where it was cut. Tabs stay tabs in both
    lines, so that the caret stands right whatever a tab's width.
    """
    lines = _LINE_END.split(source.decode("utf-8", "replace"))
    if not 1 <= line <= len(lines):
        return None
    text = lines[line - 1]
    units = text.encode("utf-16-le", "surrogatepass")
    if not 1 <= column <= len(units) // _UNIT_BYTES + 1:
        return None
    before = units[: (column - 1) * _UNIT_BYTES].decode("utf-16-le", "replace")
    start = max(0, len(before) - _BEFORE)
    shown = text[start : start + _WIDTH]
    left = "…" if start else ""
    right = "…" if start + _WIDTH < len(text) else ""
    indent = "".join("\t" if char == "\t" else " " for char in left + before[start:])
    return f"{left}{shown}{right}\n{indent}^"
