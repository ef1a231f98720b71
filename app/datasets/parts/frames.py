"""Write and read the Zstandard seekable format: frames, and a seek table at the end.

The format is that of `contrib/seekable_format` in the zstd repository: plain Zstandard frames, then
a skippable frame with their sizes and checksums. The last frame before it is a skippable one of our
own, which holds the number of lines of each. Decoders that know neither skip both, so `zstd -d`
reads the object.
"""

import struct
import sys
from array import array
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from typing import Final
from zlib import crc32

import msgspec

from app.datasets.parts.model import ObjectDamaged
from app.limits import KIB

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Larger frames compress short records no better, and cost each lookup more.
FRAME_BYTES: Final = 32 * KIB

# Higher levels take longer and compress short records no better.
_LEVEL: Final = 1
_OPTIONS: Final[Mapping[int, int]] = {
    zstd.CompressionParameter.compression_level: _LEVEL,
    zstd.CompressionParameter.checksum_flag: 1,
}
_CHECKSUM_BYTES: Final = 4
_CHECKSUM_OF_NOTHING: Final = 0x51D8E999

_SKIPPABLE: Final = struct.Struct("<II")
_LINES_MAGIC: Final = 0x184D2A5D
_SEEK_MAGIC: Final = 0x184D2A5E
_CRC: Final = struct.Struct("<I")
_ENTRY: Final = struct.Struct("<III")
_FOOTER: Final = struct.Struct("<IBI")
_FOOTER_MAGIC: Final = 0x8F92EAB1
_HAS_CHECKSUMS: Final = 0x80
_LINES_ENTRY_BYTES: Final = 4


class FrameWriter:
    """Compresses frames, and remembers their sizes."""

    def __init__(self) -> None:
        """Begin with no frame."""
        self._compressor = zstd.ZstdCompressor(options=_OPTIONS)
        self._entries: list[bytes] = []
        self._lines = array("I")

    def compress(self, raw: bytes, *, lines: int) -> bytes:
        """Return the next frame."""
        frame = self._compressor.compress(raw, mode=zstd.ZstdCompressor.FLUSH_FRAME)
        # The seek table wants the checksum that a frame ends with: the low half of XXH64.
        checksum = int.from_bytes(frame[-_CHECKSUM_BYTES:], "little")
        self._entries.append(_ENTRY.pack(len(frame), len(raw), checksum))
        self._lines.append(lines)
        return frame

    def tables(self) -> bytes:
        """Return the end of the object."""
        counts = b"".join(count.to_bytes(_LINES_ENTRY_BYTES, "little") for count in self._lines)
        counts += _CRC.pack(crc32(counts))
        lines = _SKIPPABLE.pack(_LINES_MAGIC, len(counts)) + counts
        # The table has every frame, so that the sizes add up.
        entries = b"".join((*self._entries, _entry_of_lines(len(self._entries))))
        footer = _FOOTER.pack(len(self._entries) + 1, _HAS_CHECKSUMS, _FOOTER_MAGIC)
        return b"".join(
            (
                lines,
                _SKIPPABLE.pack(_SEEK_MAGIC, len(entries) + len(footer)),
                entries,
                footer,
            )
        )


class Frame(msgspec.Struct, frozen=True, gc=False):
    """The place of a frame: its bytes in the object, and its raw bytes in the part."""

    number: int
    start: int
    end: int
    raw_start: int
    raw_end: int


class FrameTable:
    """The places of all frames of a part."""

    def __init__(self, tail: bytes, *, stored_bytes: int, raw_bytes: int) -> None:
        """Parse the end of an object that holds its tables. Raises ObjectDamaged."""
        try:
            count, sizes = _parse_seek_table(tail)
            lines = _parse_lines(tail, count)
        except (struct.error, ValueError) as error:
            raise ObjectDamaged(f"the seek table of a part cannot be read: {error}") from None
        self._starts = array("Q", accumulate((each[0] for each in sizes), initial=0))
        self._raw_starts = array("Q", accumulate((each[1] for each in sizes), initial=0))
        self._first_lines = array("Q", accumulate(lines, initial=0))
        if (self._starts[-1] + tables_bytes(count), self._raw_starts[-1]) != (
            stored_bytes,
            raw_bytes,
        ):
            raise ObjectDamaged("the seek table of a part does not match its size")

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._starts) - 1

    @property
    def size_bytes(self) -> int:
        """Return about how much memory the table takes."""
        return 3 * 8 * len(self._starts) + 512

    @property
    def lines(self) -> int:
        """Return the number of lines."""
        return self._first_lines[-1]

    def lines_in(self, number: int) -> int:
        """Return the number of lines in a frame."""
        return self._first_lines[number + 1] - self._first_lines[number]

    def frame(self, number: int) -> Frame:
        """Return a frame by its number."""
        return Frame(
            number,
            self._starts[number],
            self._starts[number + 1],
            self._raw_starts[number],
            self._raw_starts[number + 1],
        )

    def frame_of_byte(self, offset: int) -> Frame:
        """Return the frame of a raw byte that exists."""
        return self.frame(bisect_right(self._raw_starts, offset) - 1)

    def frame_of_line(self, line: int) -> tuple[Frame, int]:
        """Return the frame of a line that exists, counted from 0, and the frame's first line."""
        number = bisect_right(self._first_lines, line) - 1
        return self.frame(number), self._first_lines[number]


def tables_bytes(frames: int) -> int:
    """Return the size of the tables of a number of frames."""
    each = _LINES_ENTRY_BYTES + _ENTRY.size
    return 2 * _SKIPPABLE.size + _CRC.size + _ENTRY.size + _FOOTER.size + each * frames


def max_tables_bytes(raw_bytes: int) -> int:
    """Return the most that the tables of a part can take."""
    # Two neighbours are larger than one frame, or they would be one.
    return tables_bytes(2 * (raw_bytes // FRAME_BYTES) + 1)


def decompress(frame: bytes, raw_bytes: int) -> bytes:
    """Return the raw bytes of a frame. Raises ObjectDamaged."""
    try:
        raw = zstd.decompress(frame)
    except zstd.ZstdError as error:
        raise ObjectDamaged(f"a frame of a part cannot be read: {error}") from None
    if len(raw) != raw_bytes:
        raise ObjectDamaged("a frame of a part does not have the size of the seek table")
    return raw


def _parse_seek_table(tail: bytes) -> tuple[int, list[tuple[int, ...]]]:
    footer = tail[-_FOOTER.size :]
    if len(footer) < _FOOTER.size:
        raise ValueError("it is cut off")
    entries, descriptor, magic = _FOOTER.unpack(footer)
    count = entries - 1
    if (
        (descriptor, magic) != (_HAS_CHECKSUMS, _FOOTER_MAGIC)
        or count < 0
        or len(tail) < tables_bytes(count)
    ):
        raise ValueError("it has no valid end")
    end = len(tail) - _FOOTER.size - _ENTRY.size
    if tail[end : -_FOOTER.size] != _entry_of_lines(count):
        raise ValueError("it has no valid entry of the lines")
    return count, list(_ENTRY.iter_unpack(tail[end - count * _ENTRY.size : end]))


def _parse_lines(tail: bytes, count: int) -> "array[int]":
    start = len(tail) - tables_bytes(count)
    size = count * _LINES_ENTRY_BYTES
    if _SKIPPABLE.unpack_from(tail, start) != (_LINES_MAGIC, size + _CRC.size):
        raise ValueError("it has no table of lines before it")
    start += _SKIPPABLE.size
    counts = tail[start : start + size]
    if _CRC.unpack_from(tail, start + size) != (crc32(counts),):
        raise ValueError("the table of lines does not match its checksum")
    # As in the index, numbers are read where they lie: on little-endian machines only.
    return array("I", counts)


def _entry_of_lines(frames: int) -> bytes:
    size = _SKIPPABLE.size + frames * _LINES_ENTRY_BYTES + _CRC.size
    return _ENTRY.pack(size, 0, _CHECKSUM_OF_NOTHING)
