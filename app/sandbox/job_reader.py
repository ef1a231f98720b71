"""Receive a job in the cell: its header, its source, and its payload as V8 stores text."""

import codecs
from typing import Final

from app.sandbox import lockdown
from app.sandbox.protocol import (
    RUN_BYTES,
    STREAM,
    ChunkHeader,
    FrameReader,
    JobHeader,
    Kind,
    ProtocolError,
    decode_chunk,
    decode_job,
)

# Makes stack traces name the user's file; V8 uses the last such comment.
_SOURCE_URL: Final = b"\n//# sourceURL=process.js"
# Any job's limit leaves room for a payload of this size.
_SMALL_BYTES: Final = 1024 * 1024


class NotUtf8(Exception):
    """The payload is not UTF-8; the rest of it has not been received."""

    def __init__(self, reason: str, byte_offset: int) -> None:
        """Take the decoder's reason and the position of the first invalid byte."""
        super().__init__(reason)
        self.reason = reason
        self.byte_offset = byte_offset


class PayloadText:
    """The context and the payload, for V8 as one string: in Latin-1 or else in UTF-8.

    `payload_bytes` is the length of the payload, `context_units` that of the context, which is
    ASCII. A payload that is no text is in `binary`. `checks` is what the job validates with.
    """

    def __init__(
        self, context: bytes | memoryview, *, latin1: bool, checks: bytearray | None = None
    ) -> None:
        """Begin with the context. `latin1`: while the payload can be Latin-1, it is."""
        self.encoded = bytearray(context)
        self.latin1 = latin1
        self.context_units = len(context)
        self.payload_bytes = 0
        self.binary = bytearray()
        self.checks = bytearray() if checks is None else checks
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    @property
    def size_bytes(self) -> int:
        """The length of everything that V8 gets, as it is here."""
        return len(self.encoded) + len(self.binary) + len(self.checks)

    def append(self, piece: bytes, *, final: bool = False) -> None:
        """Append a piece of the payload. Raises NotUtf8."""
        if self.latin1 and piece.isascii() and not self._decoder.getstate()[0]:
            self.encoded += piece
            self.payload_bytes += len(piece)
            return
        decoded = self._decode(piece, final=final)
        self.payload_bytes += len(piece)
        if not self.latin1:
            self.encoded += piece
            return
        try:
            self.encoded += decoded.encode("latin-1")
        except UnicodeEncodeError:
            self.latin1 = False
            self.encoded = bytearray(self.encoded.decode("latin-1").encode())
            self.encoded += decoded.encode() + self._decoder.getstate()[0]

    def _decode(self, piece: bytes, *, final: bool) -> str:
        pending = len(self._decoder.getstate()[0])
        try:
            return self._decoder.decode(piece, final=final)
        except UnicodeDecodeError as error:
            raise NotUtf8(error.reason, self.payload_bytes - pending + error.start) from None


class JobReader:
    """Reads the jobs of one cell, and keeps the last source, which the next job may use again."""

    def __init__(self, frames: FrameReader) -> None:
        """Read from `frames`."""
        self._frames = frames
        self.code = b""

    def wait(self) -> None:
        """Wait for the beginning of a job. Raises EOFError at the end."""
        self._frames.wait()

    def receive(self, *, latin1: bool) -> tuple[JobHeader, PayloadText]:
        """Receive a job; its source is in `code`. Raises NotUtf8 and ProtocolError.

        Of a stream, the text is that of its options and its context; `receive_chunk` follows.
        """
        header = decode_job(self._frames.expect(Kind.JOB))
        kind, body = self._frames.read()
        if kind is Kind.SOURCE:
            self.code = bytes(body).removeprefix(codecs.BOM_UTF8) + _SOURCE_URL
            kind, body = self._frames.read()
        checks = bytearray()
        while kind is Kind.CHECKS:
            _make_room(len(checks) + len(body))
            checks += body
            kind, body = self._frames.read()
        if header.mode == STREAM and kind is Kind.STREAM:
            text = PayloadText(body, checks=checks, latin1=True)
            text.encoded += self._frames.expect(Kind.CONTEXT)
            return header, text
        if kind is not Kind.CONTEXT or not self.code:
            message = f"frame {kind.name} where SOURCE or CONTEXT was due"
            raise ProtocolError(message)
        text = PayloadText(body, checks=checks, latin1=latin1)
        self._receive_payload(text, is_binary=header.mode == RUN_BYTES)
        return header, text

    def _receive_payload(self, text: PayloadText, *, is_binary: bool) -> None:
        while True:
            kind, length = self._frames.read_header()
            if kind not in (Kind.INPUT, Kind.END):
                message = f"frame {kind.name} within the payload"
                raise ProtocolError(message)
            _make_room(text.payload_bytes + len(text.binary) + length)
            for piece in self._frames.pieces(length):
                if is_binary:
                    text.binary += piece
                else:
                    text.append(bytes(piece))
            if kind is Kind.END:
                text.append(b"", final=True)
                return

    def next_chunk(self) -> ChunkHeader | None:
        """Wait for the next chunk of a stream; None: there is none. Raises ProtocolError."""
        kind, body = self._frames.read()
        if kind is Kind.END:
            return None
        if kind is not Kind.CHUNK:
            message = f"frame {kind.name} where CHUNK or END was due"
            raise ProtocolError(message)
        return decode_chunk(body)

    def receive_chunk(self, length: int) -> bytearray:
        """Receive the bytes of a chunk. Raises ProtocolError."""
        chunk = bytearray()
        while len(chunk) < length:
            kind, size = self._frames.read_header()
            if kind is not Kind.INPUT or not 0 < size <= length - len(chunk):
                message = f"frame {kind.name} within a chunk"
                raise ProtocolError(message)
            for piece in self._frames.pieces(size):
                chunk += piece
        return chunk


def _make_room(size_bytes: int) -> None:
    """Lift the limit in force, which is that of the last job and may have been lower."""
    if size_bytes > _SMALL_BYTES:
        lockdown.lift_data_limit()
