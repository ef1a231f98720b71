"""Receive a payload and check that it is UTF-8."""

import codecs

from app.sandbox.protocol import FrameReader, Kind, ProtocolError


class NotUtf8(Exception):
    """The payload is not UTF-8; the rest of it has not been received."""

    def __init__(self, reason: str, byte_offset: int) -> None:
        """Take the decoder's reason and the position of the first invalid byte."""
        super().__init__(reason)
        self.reason = reason
        self.byte_offset = byte_offset


def receive_payload(reader: FrameReader, payload: bytearray) -> None:
    """Append the payload's frames, up to END. Raises NotUtf8 and ProtocolError."""
    start = len(payload)
    decoder = codecs.getincrementaldecoder("utf-8")()
    while True:
        kind, length = reader.read_header()
        if kind not in (Kind.INPUT, Kind.END):
            raise ProtocolError(f"frame {kind.name} within the payload")
        for piece in reader.pieces(length):
            _require_utf8(decoder, piece, at=len(payload) - start)
            payload += piece
        if kind is Kind.END:
            _require_utf8(decoder, b"", at=len(payload) - start, final=True)
            return


def _require_utf8(
    decoder: codecs.IncrementalDecoder, piece: bytes | memoryview, *, at: int, final: bool = False
) -> None:
    """Decode the next piece, which begins at this byte of the payload."""
    pending = len(decoder.getstate()[0])
    try:
        decoder.decode(piece, final=final)
    except UnicodeDecodeError as error:
        raise NotUtf8(error.reason, at - pending + error.start) from None
