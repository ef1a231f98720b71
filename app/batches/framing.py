"""Divide an upload into its inputs: the lines of NDJSON, or the elements of a JSON array.

Inputs stay opaque: only line feeds, or brackets, commas and quotes, are looked at. Whether an input
is JSON is for V8 to say.
"""

import re
from collections.abc import Iterator
from typing import Final, Protocol

from msgspec import Struct

from app.errors import MalformedRequest

_SPACE: Final = b" \t\r\n"
_OUTSIDE_STRING: Final = re.compile(rb'["\[\]{},]')
_INSIDE_STRING: Final = re.compile(rb'["\\]')
# A longer input is handed on in parts, as it arrives.
_MAX_PENDING_BYTES: Final = 64 * 1024


class Fragment(Struct, frozen=True):
    """A part of an input: its line, its next bytes, and whether the input ends with them."""

    line: int
    data: bytes
    last: bool


class Framer(Protocol):
    """Divides the bytes of one upload."""

    def feed(self, chunk: bytes) -> Iterator[Fragment]:
        """Yield what a chunk completes, or what is long. Raises MalformedRequest."""

    def end(self) -> Iterator[Fragment]:
        """Yield what the end of the upload completes. Raises MalformedRequest."""


class _Pending:
    """The input that is arriving."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self.is_cut = False

    def add(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)

    @property
    def is_long(self) -> bool:
        return self._size > _MAX_PENDING_BYTES

    def take(self) -> bytes:
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return data


class LineFramer:
    """Frames NDJSON: inputs end with LF or CR LF; the last need not end.

    Blank lines hold no input. They count as lines: numbers are those of the upload.
    """

    def __init__(self) -> None:
        """Start at line 1."""
        self._line = 1
        self._pending = _Pending()

    def feed(self, chunk: bytes) -> Iterator[Fragment]:
        """Yield what a chunk completes, or what is long."""
        first, *others = chunk.split(b"\n")
        self._pending.add(first)
        for start in others:
            yield from self._complete()
            self._pending.add(start)
        if self._pending.is_long:
            self._pending.is_cut = True
            yield Fragment(self._line, self._pending.take(), last=False)

    def end(self) -> Iterator[Fragment]:
        """Yield a last line without a line feed."""
        yield from self._complete()

    def _complete(self) -> Iterator[Fragment]:
        data = self._pending.take().removesuffix(b"\r")
        if self._pending.is_cut or data.strip(_SPACE):
            yield Fragment(self._line, data, last=True)
        self._pending.is_cut = False
        self._line += 1


class ArrayFramer:
    """Frames the elements of one JSON array; an input's line is the element's number, from 1."""

    def __init__(self) -> None:
        """Expect an opening bracket."""
        self._element = 1
        self._pending = _Pending()
        self._depth = 0
        self._in_string = False
        self._after_backslash = False
        self._ended = False

    def feed(self, chunk: bytes) -> Iterator[Fragment]:
        """Yield what a chunk completes, or what is long. Raises MalformedRequest."""
        position = 0
        if self._depth == 0 and not self._ended:
            chunk = chunk.lstrip(_SPACE)
            if not chunk:
                return
            if chunk[0] != ord("["):
                raise MalformedRequest("the body is not a JSON array; it begins otherwise")
            self._depth, position = 1, 1
        begin = position
        while not self._ended and (position := self._next(chunk, position)):
            token = chunk[position - 1 : position]
            if self._depth == 0 or (token == b"," and self._depth == 1):
                yield from self._complete(chunk[begin : position - 1])
                begin = position
        rest = chunk[begin:]
        if self._ended:
            if rest.strip(_SPACE):
                raise MalformedRequest("the body has more after its JSON array")
            return
        self._pending.add(rest if self._pending.is_cut else rest.lstrip(_SPACE))
        if self._pending.is_long:
            self._pending.is_cut = True
            yield Fragment(self._element, self._pending.take(), last=False)

    def end(self) -> Iterator[Fragment]:
        """Check that the array has ended. Raises MalformedRequest."""
        if not self._ended:
            raise MalformedRequest("the body ends before its JSON array does")
        return iter(())

    def _next(self, chunk: bytes, position: int) -> int:
        """Return the position after the next comma or closing bracket; 0 without one."""
        while position < len(chunk):
            if self._after_backslash:
                self._after_backslash = False
                position += 1
                continue
            pattern = _INSIDE_STRING if self._in_string else _OUTSIDE_STRING
            match = pattern.search(chunk, position)
            if match is None:
                return 0
            position = match.end()
            if self._sees(match[0]):
                return position
        return 0

    def _sees(self, token: bytes) -> bool:
        """Note a token; return whether it can end an element."""
        match token:
            case b"\\":
                self._after_backslash = True
            case b'"':
                self._in_string = not self._in_string
            case b"[" | b"{":
                self._depth += 1
            case b"]" | b"}":
                self._depth -= 1
                return self._depth == 0
            case _:
                return True
        return False

    def _complete(self, data: bytes) -> Iterator[Fragment]:
        self._pending.add(data)
        element = self._pending.take().rstrip(_SPACE)
        if not self._pending.is_cut:
            element = element.lstrip(_SPACE)
        self._ended = self._depth == 0
        # An empty array has no element; `[1,]` has an empty one, which is not JSON.
        if element or self._pending.is_cut or not self._ended or self._element > 1:
            yield Fragment(self._element, element, last=True)
        self._pending.is_cut = False
        self._element += 1
