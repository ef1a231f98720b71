"""The memory that cell and harness share: the script's world in, console lines out."""

import codecs
import struct
from enum import IntEnum
from typing import Final

_LEVELS: Final = ("log", "info", "warn", "error", "debug")


class Slot(IntEnum):
    """Slots of the shared memory, 32 bits each; harness.js has the same."""

    LEVEL = 0
    LENGTH = 1
    DROPPED = 2
    CLOSED = 3
    REQUEST = 4
    OFFSET = 5


HEAD_BYTES: Final = 4 * len(Slot)
# After them the script's world: clock and seed, which a double holds exactly, and how much of the
# payload's text is the context before it.
_WORLD: Final = struct.Struct("=3d")
# The rest is for a line, or a piece of a source (app/sandbox/web).
PIECE_OFFSET: Final = HEAD_BYTES + _WORLD.size
_CONTINUATION: Final = 0b1000_0000
_CONTINUATION_MASK: Final = 0b1100_0000
_CUT: Final = "…"

# Loaded now: a locked-down cell cannot read Python's files.
codecs.lookup("utf-16-le")


class Console:
    """The memory that console lines pass through, and their caps."""

    def __init__(
        self,
        memory: memoryview,
        limits: dict[str, int],
        *,
        clock_ms: int,
        seed: int,
        context_units: int,
    ) -> None:
        """Use the memory that harness.js made; `limits` as in the JOB frame."""
        _WORLD.pack_into(memory, HEAD_BYTES, clock_ms, seed, context_units)
        self._head = memory[:HEAD_BYTES].cast("I")
        self._units = memory[PIECE_OFFSET:]
        self._lines_left = limits["console_lines"]
        self._bytes_left = limits["console_bytes"]
        self._line_bytes = limits["console_line_bytes"]
        self._refused = 0
        if self._lines_left == 0:
            self._head[Slot.CLOSED] = 1

    @property
    def dropped(self) -> int:
        """How many lines went over the caps."""
        return self._refused + self._head[Slot.DROPPED]

    def take(self) -> dict[str, str] | None:
        """Take the line that is in the memory now; None when it is over a cap."""
        length = self._head[Slot.LENGTH]
        kept = min(length, len(self._units) // 2)
        text = bytes(self._units[: kept * 2]).decode("utf-16-le", "surrogatepass")
        encoded = text.encode("utf-8", "surrogatepass")
        if length > kept or len(encoded) > self._line_bytes:
            text = _clip(encoded, self._line_bytes - len(_CUT.encode())) + _CUT
            encoded = text.encode("utf-8", "surrogatepass")
        if len(encoded) > self._bytes_left:
            self._head[Slot.CLOSED] = 1
            self._refused += 1
            return None
        self._bytes_left -= len(encoded)
        self._lines_left -= 1
        if self._lines_left == 0:
            self._head[Slot.CLOSED] = 1
        return {"level": _LEVELS[self._head[Slot.LEVEL] % len(_LEVELS)], "text": text}


def _clip(encoded: bytes, length: int) -> str:
    """Cut at `length` bytes or just before, between characters."""
    length = max(length, 0)
    while length and encoded[length] & _CONTINUATION_MASK == _CONTINUATION:
        length -= 1
    return encoded[:length].decode("utf-8", "surrogatepass")
