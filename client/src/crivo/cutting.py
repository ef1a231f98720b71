"""Cut a file at line ends into parts, without reading all of it."""

from collections.abc import Iterator
from typing import BinaryIO, Final

from msgspec import Struct

# A line feed is looked for in steps of this size.
_STEP_BYTES: Final = 64 * 1024


class Span(Struct, frozen=True):
    """One part of a file: its number, from 1 on, and its bytes."""

    number: int
    start: int
    end: int

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.end - self.start


class Cutter(Struct, frozen=True, kw_only=True):
    """The sizes of parts.

    A part has `part_bytes` at most, except for a line that is longer: it is a part of its own,
    up to `max_part_bytes`. The same file is always cut at the same places.
    """

    part_bytes: int
    max_part_bytes: int
    has_lines: bool

    def cut(self, file: BinaryIO, size: int) -> Iterator[Span]:
        """Yield the parts of a file in order; an empty file is one empty part. Raises OSError."""
        number, start = 1, 0
        while True:
            end = self._end(file, start, size)
            yield Span(number, start, end)
            if end >= size:
                return
            number, start = number + 1, end

    def _end(self, file: BinaryIO, start: int, size: int) -> int:
        end = start + self.part_bytes
        if end >= size:
            return size
        if not self.has_lines:
            return end
        longest = min(size, start + self.max_part_bytes)
        return _last_line_end(file, start, end) or _next_line_end(file, end, longest) or longest


def _last_line_end(file: BinaryIO, start: int, end: int) -> int:
    while end > start:
        begin = max(start, end - _STEP_BYTES)
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _next_line_end(file: BinaryIO, start: int, end: int) -> int:
    file.seek(start)
    while start < end:
        chunk = file.read(min(_STEP_BYTES, end - start))
        found = chunk.find(b"\n")
        if found >= 0:
            return start + found + 1
        if not chunk:
            break
        start += len(chunk)
    return 0


def count_lines(file: BinaryIO, end: int) -> int:
    """Count the line feeds of the first bytes of a file."""
    file.seek(0)
    count = 0
    while end > 0:
        chunk = file.read(min(_STEP_BYTES, end))
        if not chunk:
            break
        count += chunk.count(b"\n")
        end -= len(chunk)
    return count
