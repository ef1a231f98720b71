"""Cut the bytes of a file into parts, at the ends of lines."""

from collections.abc import AsyncIterator
from typing import Final

from app.datasets.parts import Format
from app.limits import PART_BYTES

_LINE_END: Final = b"\n"


async def split_parts(
    chunks: AsyncIterator[bytes], file_format: Format
) -> AsyncIterator[AsyncIterator[bytes]]:
    """Yield the parts of a file, at least one, each to be read to its end before the next.

    A part has PART_BYTES and, unless the format is `bytes`, what is left of the line there.
    """
    rest = _Rest(chunks)
    yield _part(rest, has_lines=file_format is not Format.BYTES)
    while await rest.fill():
        yield _part(rest, has_lines=file_format is not Format.BYTES)


class _Rest:
    """What has arrived of a file and belongs to the next part."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self.chunk = b""
        self._chunks = chunks

    async def fill(self) -> bool:
        """Wait for a chunk unless there is one; return False at the end of the file."""
        while not self.chunk:
            more = await anext(self._chunks, None)
            if more is None:
                return False
            self.chunk = more
        return True


async def _part(rest: _Rest, *, has_lines: bool) -> AsyncIterator[bytes]:
    size_bytes = 0
    while await rest.fill():
        chunk = rest.chunk
        end = _end_in(chunk, PART_BYTES - size_bytes, has_lines=has_lines)
        rest.chunk = chunk[end:]
        size_bytes += end
        yield chunk[:end]
        if size_bytes >= PART_BYTES and (not has_lines or chunk.endswith(_LINE_END, 0, end)):
            return


def _end_in(chunk: bytes, wanted: int, *, has_lines: bool) -> int:
    """Return up to where a chunk belongs to a part that wants this many more bytes."""
    if wanted > len(chunk):
        return len(chunk)
    if not has_lines:
        return wanted
    return chunk.find(_LINE_END, max(0, wanted - 1)) + 1 or len(chunk)
