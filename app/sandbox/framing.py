"""Cut a stream of bytes into the chunks that a script gets, at the same places every time."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Final, NamedTuple

from app.sandbox.parts import Format
from app.sandbox.protocol import STREAM_CHUNK_BYTES

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
_CONTINUATION, _CONTINUATION_MASK = 0b1000_0000, 0b1100_0000


class Chunk(NamedTuple):
    """A piece of the input, and the number of the line at which it begins."""

    line: int
    data: bytes


class LineTooLong(Exception):
    """A line is longer than MAX_LINE_BYTES; its number is `line`."""

    def __init__(self, line: int) -> None:
        """Take the line's number."""
        super().__init__(f"line {line} is longer than {MAX_LINE_BYTES} bytes")
        self.line = line


async def cut(
    pieces: AsyncIterable[bytes], *, format_: Format, first_line: int
) -> AsyncIterator[Chunk]:
    """Cut the input into chunks of at most STREAM_CHUNK_BYTES, at the last line end in each.

    The places depend on the bytes alone, not on the pieces in which they arrive. Without a line
    end, records and lines make a longer chunk (raises LineTooLong), text is cut between characters,
    bytes anywhere.
    """
    by_line = format_ in (Format.RECORDS, Format.LINES)
    waiting = bytearray()
    searched = 0
    line = first_line
    async for piece in pieces:
        waiting += piece
        while len(waiting) > STREAM_CHUNK_BYTES:
            end = waiting.rfind(b"\n", 0, STREAM_CHUNK_BYTES) + 1
            if not end and by_line:
                end = waiting.find(b"\n", max(searched, STREAM_CHUNK_BYTES)) + 1
                searched = len(waiting)
                _check_length(end or searched, line)
                if not end:
                    break
            elif not end:
                end = STREAM_CHUNK_BYTES if format_ is Format.BYTES else _character_start(waiting)
            data = bytes(memoryview(waiting)[:end])
            del waiting[:end]
            searched = 0
            yield Chunk(line, data)
            line += data.count(b"\n")
    if waiting:
        yield Chunk(line, bytes(waiting))


def _check_length(length: int, line: int) -> None:
    if length > MAX_LINE_BYTES + 1:
        raise LineTooLong(line)


def _character_start(waiting: bytearray) -> int:
    """Return the start of the last character before STREAM_CHUNK_BYTES, if that is UTF-8."""
    end = STREAM_CHUNK_BYTES
    while end > STREAM_CHUNK_BYTES - 4 and waiting[end] & _CONTINUATION_MASK == _CONTINUATION:
        end -= 1
    return end
