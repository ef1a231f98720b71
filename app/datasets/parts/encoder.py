"""Encode a part: cut it into frames at line ends, check them, compress them."""

import hashlib
from typing import Final

import numpy as np

from app.datasets.parts.frames import FRAME_BYTES, FrameWriter
from app.datasets.parts.hash_order import order_by_hash
from app.datasets.parts.keys import HashSeed
from app.datasets.parts.lines import Hashes, Offsets, Place, line_check
from app.datasets.parts.model import BadLine, Format, PartTooLarge
from app.datasets.parts.pointers import Pointer
from app.limits import MAX_KEYS_OF_A_PART, MAX_LINE_BYTES, MAX_PART_BYTES, MIB

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
# No text begins with these bytes, which are not UTF-8.
_COMPRESSED: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_NO_HASHES: Final = np.empty(0, np.uint64)
_NO_OFFSETS: Final = np.empty(0, np.uint32)


class PartEncoder:
    """Turns the raw bytes of one part into those of its object.

    The object depends on the raw bytes alone, not on the chunks in which they arrive.
    """

    def __init__(self, content: Format, key: Pointer | None, seed: HashSeed) -> None:
        """Begin with an empty part."""
        self._content = content
        self._check = line_check(content, key, seed)
        self._frames = FrameWriter()
        self._digest = hashlib.sha256()
        self._waiting = bytearray()
        # No line ends before this position of `_waiting`.
        self._searched = 0
        self._hashes = [_NO_HASHES]
        self._offsets = [_NO_OFFSETS]
        self._keys = 0
        self._ended_line = False
        self.raw_bytes = 0
        self.lines = 0
        self.records = 0
        self.missing_keys = 0

    def feed(self, chunk: bytes) -> bytes:
        """Take raw bytes; return the part of the object that is ready.

        Raises BadLine, PartTooLarge.
        """
        self._waiting += chunk
        if self.raw_bytes + len(self._waiting) > MAX_PART_BYTES:
            raise PartTooLarge(f"{MAX_PART_BYTES // MIB} MiB before compression")
        return self._encode(last=False)

    def finish(self) -> bytes:
        """Return the rest of the object. Raises BadLine, PartTooLarge."""
        return self._encode(last=True) + self._frames.tables()

    @property
    def waiting_bytes(self) -> int:
        """The size of what has arrived of the next frame."""
        return len(self._waiting)

    @property
    def sha256(self) -> bytes:
        """The digest of the raw bytes, once all are encoded."""
        return self._digest.digest()

    @property
    def ends_line(self) -> bool:
        """Whether the last byte ends a line."""
        return self._ended_line

    def sorted_keys(self) -> tuple[Hashes, Offsets]:
        """Give up the hash and the offset of each record with a key: by hash, then by offset."""
        hashes, offsets = np.concatenate(self._hashes), np.concatenate(self._offsets)
        self._hashes, self._offsets = [_NO_HASHES], [_NO_OFFSETS]
        order = order_by_hash(hashes)
        return hashes[order], offsets[order]

    def _encode(self, *, last: bool) -> bytes:
        encoded, start = [], 0
        while end := self._frame_end(start, last=last):
            with memoryview(self._waiting) as waiting:
                frame = bytes(waiting[start:end])
            encoded.append(self._encode_frame(frame))
            start = end
        del self._waiting[:start]
        self._searched = max(0, self._searched - start)
        return b"".join(encoded)

    def _frame_end(self, start: int, *, last: bool) -> int:
        """Return the end of the frame at `start`, 0 if more bytes must come first.

        A frame has as many whole lines as fit, or one that is larger.
        """
        waiting, full = self._waiting, start + FRAME_BYTES
        if len(waiting) < full:
            return len(waiting) if last and len(waiting) > start else 0
        if self._content is Format.BYTES:
            return full
        end = waiting.rfind(b"\n", start, full) + 1
        if end:
            return end
        end = waiting.find(b"\n", max(full, self._searched)) + 1
        self._searched = 0 if end else len(waiting)
        line_bytes = (end - 1 if end else len(waiting)) - start
        if line_bytes > MAX_LINE_BYTES:
            raise BadLine(
                line=self.lines + 1,
                byte=self.raw_bytes,
                message=f"longer than {MAX_LINE_BYTES // MIB} MiB",
            )
        return end or (len(waiting) if last else 0)

    def _encode_frame(self, raw: bytes) -> bytes:
        if not self.raw_bytes and self._content is not Format.BYTES:
            _refuse_compressed(raw)
        if not self.raw_bytes and self._content is Format.JSONL:
            _refuse_byte_order_mark(raw)
        checked = self._check(raw, Place(self.raw_bytes, self.lines))
        if checked.hashes is not None and checked.offsets is not None:
            self._hashes.append(checked.hashes)
            self._offsets.append(checked.offsets)
            self._keys += len(checked.hashes)
            if self._keys > MAX_KEYS_OF_A_PART:
                raise PartTooLarge(f"{MAX_KEYS_OF_A_PART:,} records with a key")
        self._digest.update(raw)
        self._ended_line = raw.endswith(b"\n")
        self.raw_bytes += len(raw)
        self.lines += checked.lines
        self.records += checked.records
        self.missing_keys += checked.missing_keys
        return self._frames.compress(raw, lines=checked.lines)


def _refuse_byte_order_mark(raw: bytes) -> None:
    if raw.startswith(_BYTE_ORDER_MARK):
        raise BadLine(line=1, byte=0, message="begins with a byte-order mark")


def _refuse_compressed(raw: bytes) -> None:
    for magic, coding in _COMPRESSED.items():
        if raw.startswith(magic):
            message = f"begins like {coding}: send it with Content-Encoding: {coding}, or unpack it"
            raise BadLine(line=1, byte=0, message=message)
