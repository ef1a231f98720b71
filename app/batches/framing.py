"""Divide an upload into its inputs: the lines of NDJSON, or the elements of a JSON array.

Inputs stay opaque: only line feeds, or brackets, commas and quotes, are looked at. Whether an input
is JSON is for V8 to say. What is yielded does not depend on how the upload was cut into chunks.
"""

import re
from collections.abc import Iterator
from typing import Final, Protocol

from msgspec import Struct

from app.batches.array_scanner import ArrayScanner, match_end
from app.errors import MalformedRequest

_SPACE: Final = b" \t\r\n"
_BLANK: Final = re.compile(rb"[ \t\r\n]*+")
# A longer input is handed on in parts, as it arrives.
_MAX_PENDING_BYTES: Final = 64 * 1024
# Blank lines and space around elements are part of no input, so no limit on inputs bounds them.
_MAX_BLANK_BYTES: Final = 64 * 1024


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
    def is_empty(self) -> bool:
        return not self._size and not self.is_cut

    @property
    def is_long(self) -> bool:
        return self._size > _MAX_PENDING_BYTES

    def cut(self) -> bytes:
        """Return what has arrived so far; more of the input follows."""
        self.is_cut = True
        return self._take()

    def complete(self) -> bytes:
        """Return the last part."""
        self.is_cut = False
        return self._take()

    def _take(self) -> bytes:
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
        # Until the line has text: all since the last line that has.
        self._is_blank = True
        self._blank_bytes = 0
        self._blank_since = 1

    def feed(self, chunk: bytes) -> Iterator[Fragment]:
        """Yield what a chunk completes, or what is long. Raises MalformedRequest."""
        begin = 0
        while begin < len(chunk):
            text = begin
            # The quick look spares ordinary lines the search.
            if self._is_blank and chunk[begin] in _SPACE:
                begin, text = self._skip_blank(chunk, begin)
                if text == len(chunk):
                    self._pending.add(chunk[begin:])
                    return
            self._is_blank = False
            end = chunk.find(b"\n", text)
            if end < 0:
                self._pending.add(chunk[begin:])
                break
            line = chunk[begin:end]
            # Only the first line may have begun earlier.
            if begin == 0:
                self._pending.add(line)
                line = self._pending.complete()
            yield Fragment(self._line, line.removesuffix(b"\r"), last=True)
            self._line += 1
            self._is_blank, self._blank_bytes, self._blank_since = True, 0, self._line
            begin = end + 1
        if self._pending.is_long and not self._is_blank:
            data = self._pending.cut()
            if data.endswith(b"\r"):
                # A line feed may follow.
                self._pending.add(b"\r")
            yield Fragment(self._line, data.removesuffix(b"\r"), last=False)

    def end(self) -> Iterator[Fragment]:
        """Yield a last line without a line feed."""
        if not self._is_blank:
            yield Fragment(self._line, self._pending.complete(), last=True)

    def _skip_blank(self, chunk: bytes, begin: int) -> tuple[int, int]:
        """Skip blank lines; return where the first other line begins, and where its text does."""
        text = match_end(_BLANK, chunk, begin)
        self._blank_bytes += text - begin
        _check_blank(self._blank_bytes, self._blank_since)
        if lines := chunk.count(b"\n", begin, text):
            self._pending.complete()
            self._line += lines
            begin = chunk.rfind(b"\n", begin, text) + 1
        return begin, text


class ArrayFramer:
    """Frames the elements of one JSON array; an input's line is the element's number, from 1.

    Space around an element is not part of it.
    """

    def __init__(self) -> None:
        """Expect an opening bracket."""
        self._element = 1
        self._pending = _Pending()
        # Space before the element, or behind what is pending of it.
        self._space = b""
        self._scanner = ArrayScanner()
        self._offset = 0

    def feed(self, chunk: bytes) -> Iterator[Fragment]:
        """Yield what a chunk completes, or what is long. Raises MalformedRequest."""
        begin = position = 0 if self._scanner.has_begun else self._open(chunk)
        while position := self._scanner.next_end(chunk, position, self._offset):
            yield from self._complete(chunk[begin : position - 1])
            begin = position
        if self._scanner.has_ended:
            self._expect_nothing(chunk, begin)
        else:
            self._add(chunk[begin:])
        self._offset += len(chunk)
        if self._pending.is_long:
            yield Fragment(self._element, self._pending.cut(), last=False)

    def end(self) -> Iterator[Fragment]:
        """Check that the array has ended. Raises MalformedRequest."""
        if not self._scanner.has_ended:
            raise MalformedRequest(f"byte {self._offset}: the body ends before its JSON array does")
        return iter(())

    def _open(self, chunk: bytes) -> int:
        """Return the position after the bracket that opens the array, or 0 without it."""
        text = match_end(_BLANK, chunk, 0)
        if text == len(chunk):
            return 0
        self._hold(chunk[:text])
        self._space = b""
        if chunk[text] != ord("["):
            at = self._offset + text
            raise MalformedRequest(f"byte {at}: the body is not a JSON array; it begins otherwise")
        self._scanner.open()
        return text + 1

    def _expect_nothing(self, chunk: bytes, position: int) -> None:
        text = match_end(_BLANK, chunk, position)
        self._hold(chunk[position:text])
        if text < len(chunk):
            at = self._offset + text
            raise MalformedRequest(f"byte {at}: the body has more after its JSON array")

    def _add(self, data: bytes) -> None:
        """Add bytes of the element; hold space back until more of the element follows it."""
        if self._space or self._pending.is_empty:
            text = data.lstrip(_SPACE)
            self._hold(data[: len(data) - len(text)])
            data = text
        if not data:
            return
        if self._space:
            if not self._pending.is_empty:
                self._pending.add(self._space)
            self._space = b""
        text = data if self._scanner.is_inside else data.rstrip(_SPACE)
        self._pending.add(text)
        self._hold(data[len(text) :])

    def _hold(self, space: bytes) -> None:
        if space:
            self._space += space
            _check_blank(len(self._space), self._element)

    def _complete(self, data: bytes) -> Iterator[Fragment]:
        self._add(data)
        self._space = b""
        # An empty array has no element; `[1,]` has an empty one, which is not JSON.
        if not self._pending.is_empty or not self._scanner.has_ended or self._element > 1:
            yield Fragment(self._element, self._pending.complete(), last=True)
        self._element += 1


def _check_blank(size: int, line: int) -> None:
    if size > _MAX_BLANK_BYTES:
        raise MalformedRequest(f"line {line}: more than {_MAX_BLANK_BYTES} bytes of space in a row")
