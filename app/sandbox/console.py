"""Share memory with the harness: the script's world goes in, console lines come out."""

import codecs
import struct
from enum import IntEnum
from typing import Final

from app.sandbox.protocol import JobHeader

_LEVELS: Final = ("log", "info", "warn", "error", "debug")


class Slot(IntEnum):
    """Slots of the shared memory, 32 bits each, as harness.js declares them."""

    LEVEL = 0
    LENGTH = 1
    DROPPED = 2
    CLOSED = 3
    REQUEST = 4
    OFFSET = 5


HEAD_BYTES: Final = 4 * len(Slot)
# After them the script's world: clock and seed, which a double holds exactly, and the length of
# the context that precedes the payload in one string. Then the progress of a stream: the line of
# the input, and the numbers of rows in, out and failed. Last, the length of an input of bytes.
_WORLD: Final = struct.Struct("=8d")
_CONTEXT_UNITS: Final = struct.Struct("=d")
_CONTEXT_OFFSET: Final = HEAD_BYTES + 16
_PROGRESS: Final = struct.Struct("=4d")
_PROGRESS_OFFSET: Final = HEAD_BYTES + 24
# The rest holds a line, or a piece of a source (app/sandbox/web).
PIECE_OFFSET: Final = HEAD_BYTES + _WORLD.size
_CONTINUATION: Final = 0b1000_0000
_CONTINUATION_MASK: Final = 0b1100_0000
_CUT: Final = "…"

# Load the codec now: a locked-down cell cannot read Python's files.
codecs.lookup("utf-16-le")


class Console:
    """The shared memory of one isolate, and the limits of its console."""

    def __init__(
        self, memory: memoryview, job: JobHeader, *, context_units: int, input_bytes: int = 0
    ) -> None:
        """Use the memory that harness.js made, for a job's world and limits."""
        world = (job.clock_ms, job.seed, context_units, *(0, 0, 0, 0), input_bytes)
        _WORLD.pack_into(memory, HEAD_BYTES, *world)
        self._memory = memory
        self._head = memory[:HEAD_BYTES].cast("I")
        self._units = memory[PIECE_OFFSET:]
        self._lines_left = job.console_lines
        self._bytes_left = job.console_bytes
        self._line_bytes = job.console_line_bytes
        self._over_limit = 0
        if self._lines_left == 0:
            self._head[Slot.CLOSED] = 1

    @property
    def dropped(self) -> int:
        """The number of lines over the limits."""
        return self._over_limit + self._head[Slot.DROPPED]

    def set_context_units(self, units: int) -> None:
        """Set the length of what precedes the payload in the next string."""
        _CONTEXT_UNITS.pack_into(self._memory, _CONTEXT_OFFSET, units)

    @property
    def progress(self) -> tuple[int, int, int, int]:
        """The line of the input that a stream has reached, and its rows in, out and failed."""
        line, *rows = _PROGRESS.unpack_from(self._memory, _PROGRESS_OFFSET)
        rows_in, rows_out, rows_failed = map(int, rows)
        return int(line), rows_in, rows_out, rows_failed

    def take(self) -> dict[str, str] | None:
        """Take the line that is in the memory now; None: it exceeds a limit."""
        length = self._head[Slot.LENGTH]
        shown = min(length, len(self._units) // 2)
        text = bytes(self._units[: shown * 2]).decode("utf-16-le", "surrogatepass")
        encoded = text.encode("utf-8", "surrogatepass")
        if length > shown or len(encoded) > self._line_bytes:
            text = _clip(encoded, self._line_bytes - len(_CUT.encode())) + _CUT
            encoded = text.encode("utf-8", "surrogatepass")
        if len(encoded) > self._bytes_left:
            self._head[Slot.CLOSED] = 1
            self._over_limit += 1
            return None
        self._bytes_left -= len(encoded)
        self._lines_left -= 1
        if self._lines_left == 0:
            self._head[Slot.CLOSED] = 1
        return {"level": _LEVELS[self._head[Slot.LEVEL] % len(_LEVELS)], "text": text}


def _clip(encoded: bytes, length: int) -> str:
    """Cut between characters, at `length` bytes at most."""
    length = max(length, 0)
    while length and encoded[length] & _CONTINUATION_MASK == _CONTINUATION:
        length -= 1
    return encoded[:length].decode("utf-8", "surrogatepass")
