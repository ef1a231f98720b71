"""Assemble frames from the pieces of a stream, in the pool's process."""

from collections import deque
from typing import Final

from app.sandbox.protocol import HEADER, Kind, check_header

# The most that is received at once while no large body is due.
_PIECE_BYTES: Final = 64 * 1024
# Smaller pieces of a body are joined as they arrive.
_SMALL_PIECE_BYTES: Final = 4 * 1024


class FrameBuffer:
    """The bytes that a cell has sent and nobody has taken yet."""

    def __init__(self) -> None:
        """Begin without bytes."""
        # Of what waits, without a header that was taken.
        self.length = 0
        self._pieces: deque[bytes | bytearray | memoryview] = deque()
        self._header: tuple[Kind, int] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether every frame has been taken, and no other has begun."""
        return self.length == 0 and self._header is None

    @property
    def wanted_bytes(self) -> int:
        """The most to receive next: a large body is received to its end, and no further."""
        missing = 0 if self._header is None else self._header[1] - self.length
        return max(missing, _PIECE_BYTES)

    def append(self, piece: bytes) -> None:
        """Append what was received."""
        self.length += len(piece)
        if len(piece) >= _SMALL_PIECE_BYTES:
            self._pieces.append(piece)
        elif self._pieces and isinstance(last := self._pieces[-1], bytearray):
            last += piece
        else:
            # An object for each byte would take a thousand times its size.
            self._pieces.append(bytearray(piece))

    def take(self) -> tuple[Kind, bytes] | None:
        """Take a frame; None: there is none yet. Raises ProtocolError."""
        if self._header is None:
            if self.length < HEADER.size:
                return None
            self._header = check_header(self._take(HEADER.size))
        kind, length = self._header
        if self.length < length:
            return None
        self._header = None
        return kind, self._take(length)

    def _take(self, length: int) -> bytes:
        """Take bytes; they are copied once."""
        self.length -= length
        taken: list[bytes | bytearray | memoryview] = []
        while length > 0:
            piece = self._pieces.popleft()
            if len(piece) > length:
                view = memoryview(piece)
                self._pieces.appendleft(view[length:])
                piece = view[:length]
            taken.append(piece)
            length -= len(piece)
        return b"".join(taken)
