"""Find where the elements of a JSON array end, without decoding them.

Libraries that parse JSON do not fit: they need the whole array in memory, or decode its elements,
and refuse all of them for one that is not JSON. Regular expressions do what is done for each byte,
so a scan costs little CPU, whatever the array holds.
"""

import re
from typing import Final

from app.errors import MalformedRequest

# A bound for memory: each open bracket takes a byte.
_MAX_DEPTH: Final = 10_000
# Brackets that end within so many levels are skipped at once; of others, each row of one direction.
_LEVELS: Final = 3


def _skipping(levels: int, stop: bytes = b"") -> bytes:
    """Return a pattern for strings, other bytes but `stop`, and brackets that end in `levels`."""
    inner = rb'[^"\[\]{}' + stop + rb"]++|" + _STRING
    if levels:
        body = _skipping(levels - 1)
        inner += rb"|\[" + body + rb"\]|\{" + body + rb"\}"
    return rb"(?>(?:" + inner + rb")*)"


# All are atomic: they never go back, and take linear time. Repeated groups are not possessive, as
# these match wrongly in Python before 3.11.5 (python/cpython#106052).
_REST_OF_STRING: Final = rb'(?>[^"\\]*+(?:\\.[^"\\]*+)*)'
_STRING: Final = rb'"' + _REST_OF_STRING + rb'"'
_IN_STRING: Final = re.compile(_REST_OF_STRING, re.DOTALL)
_IN_ARRAY: Final = re.compile(_skipping(_LEVELS, stop=b","), re.DOTALL)
_IN_ELEMENT: Final = [re.compile(_skipping(levels), re.DOTALL) for levels in range(_LEVELS + 1)]
_OPENING: Final = re.compile(rb'(?>(?:[^"\[\]{}]*+[\[{])+)')
_CLOSING: Final = re.compile(rb'(?>(?:[^"\[\]{},]*+[\]}])+)')
_OPENING_BRACKET: Final = re.compile(rb"[\[{]")
_CLOSING_BRACKET: Final = re.compile(rb"[\]}]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_CLOSES: Final = bytes.maketrans(b"[{", b"]}")


class ArrayScanner:
    """Finds the commas and the bracket that end the elements of an array."""

    def __init__(self) -> None:
        """Expect the opening bracket."""
        # The brackets that have to come, the innermost last.
        self._open = bytearray()
        self._in_string = False
        self._after_backslash = False
        self.has_begun = False

    @property
    def has_ended(self) -> bool:
        """Whether the array has ended."""
        return self.has_begun and not self._open

    @property
    def is_inside(self) -> bool:
        """Whether the next byte belongs to an element, even if it is space."""
        return self._in_string or len(self._open) > 1

    def open(self) -> None:
        """Note the bracket that opens the array."""
        self.has_begun = True
        self._open += b"]"

    def next_end(self, chunk: bytes, position: int, offset: int) -> int:
        """Return the position after what ends an element, or 0. Raises MalformedRequest."""
        while self._open and position < len(chunk):
            if self._in_string:
                position = self._leave_string(chunk, position)
                continue
            depth = len(self._open)
            levels = min(_LEVELS, _MAX_DEPTH - depth)
            position = match_end(_IN_ARRAY if depth == 1 else _IN_ELEMENT[levels], chunk, position)
            if position == len(chunk):
                return 0
            match chunk[position : position + 1]:
                case b",":
                    return position + 1
                case b'"':
                    self._in_string = True
                    position += 1
                case b"[" | b"{":
                    position = self._descend(chunk, position, offset)
                case _:
                    position = self._ascend(chunk, position, offset)
                    if not self._open:
                        return position
        return 0

    def _descend(self, chunk: bytes, position: int, offset: int) -> int:
        """Note a row of opening brackets; return the position after it."""
        end = match_end(_OPENING, chunk, position)
        row = chunk[position:end]
        self._open += row.translate(_CLOSES, _NO_BRACKETS)
        if len(self._open) > _MAX_DEPTH:
            starts = [bracket.start() for bracket in _OPENING_BRACKET.finditer(row)]
            at = offset + position + starts[_MAX_DEPTH - len(self._open)]
            raise MalformedRequest(f"byte {at}: more than {_MAX_DEPTH} brackets are open")
        return end

    def _ascend(self, chunk: bytes, position: int, offset: int) -> int:
        """Close as many brackets as a row does; return the position after it."""
        end = match_end(_CLOSING, chunk, position)
        brackets = chunk[position:end].translate(None, _NO_BRACKETS)
        if self._open.endswith(brackets[::-1]):
            del self._open[-len(brackets) :]
            return end
        # One of the row is wrong, or the array ends with one.
        for bracket in _CLOSING_BRACKET.finditer(chunk, position, end):
            if ord(bracket[0]) != self._open.pop():
                at, kind = offset + bracket.start(), bracket[0].decode()
                raise MalformedRequest(f"byte {at}: {kind} closes a bracket of another kind")
            if not self._open:
                return bracket.end()
        return end

    def _leave_string(self, chunk: bytes, position: int) -> int:
        """Return the position after the string, or the end of the chunk."""
        if self._after_backslash:
            self._after_backslash = False
            position += 1
        position = match_end(_IN_STRING, chunk, position)
        if position < len(chunk):
            self._in_string = chunk[position] != ord('"')
            self._after_backslash = self._in_string
        return position + 1


def match_end(pattern: re.Pattern[bytes], data: bytes, position: int) -> int:
    """Return where a match from `position` on ends; without one, `position`."""
    match = pattern.match(data, position)
    return match.end() if match else position
