"""Define the frames between the pool and a cell, version 8.

A cell and the pool share one SOCK_STREAM socket pair. Everything on it is a frame: one
byte of kind, four bytes of length (network order), then that many bytes of body. A body
is opaque bytes or, where stated, JSON in ASCII (text of user code may contain NUL and lone
surrogates, which JSON's escapes can represent and UTF-8 cannot).

The pool sends, in this order::

    JOB     JobHeader: what to do, world (seed, clock), limits
    SOURCE  the user's source, UTF-8; absent: that of the job before, unless it was the first
    CHECKS  up to CHUNK_BYTES of the schemas of input and output; any number of times
    CONTEXT JSON: the second argument of `process`, its `params` a string; empty for `check`
    INPUT   up to CHUNK_BYTES of the payload; any number of times, none for `check`
    END     empty: the payload is complete

RUN_BYTES differs from RUN in that input and output are any bytes, and that the verdict of a success
has the media type of the output.

A stream (`docs/design/runs.md`) has its payload in chunks, each sent when the one before is USED::

    STREAM  JSON: StreamOptions, before CONTEXT
    CHUNK   ChunkHeader; then its bytes in INPUT frames; any number of times, up to END

The cell sends, in this order::

    READY    JSON: protocol version, V8 version, the lockdown it measured, jobs, isolation
    STARTED  empty: user code starts, and with it the wall clock; see below
    LOG      JSON: one console line, sent while user code runs
    RESULT   eight bytes: user code has ended, the clock stops; the length of the output
    OUTPUT   CHUNK_BYTES of the output, fewer only in the last frame, which is not empty
    VERDICT  JSON: how the job ended
    AGAIN    empty: the job's isolate or context is closed, and the next one waits for its JOB

In a stream there are, before RESULT, any number of OUTPUT frames of any size, and::

    ERROR    JSON: one record that failed, with its line
    USED     the rows so far: the source, and then each chunk, has been used up

READY comes once, the rest for each job; a cell runs as many jobs as it has isolates or contexts.
A job whose header has the time at which all of it was sent starts at that time: the cell sends
STARTED only if it is late (MAX_LATE_NS). Any other job starts at STARTED.
VERDICT may come at any point after SOURCE; `succeeded` requires a RESULT. After a verdict
that leaves anything in doubt the cell exits instead of sending AGAIN.
The pool trusts none of this: a frame out of order, a body over its limit or one that does
not decode is a breach, and the cell is killed (`app/sandbox/session.py`).
"""

import json
import socket
import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum, StrEnum
from typing import Any, Final, NamedTuple

VERSION: Final = 8
CHUNK_BYTES: Final = 1024 * 1024
# A stream's chunks: what a script makes of one dies before V8's young generation is full.
STREAM_CHUNK_BYTES: Final = 256 * 1024
# Small enough to stay in the processor's cache until it is used.
PIECE_BYTES: Final = 64 * 1024
# Below this a copy is cheaper than another system call.
SMALL_BYTES: Final = 16 * 1024
HEADER: Final = struct.Struct("!BI")
# The start of a job that was sent this much earlier is reported.
MAX_LATE_NS: Final = 100_000_000
RUN, CHECK, STREAM, RUN_BYTES = 0, 1, 2, 3

_CHUNK: Final = struct.Struct("!BQQ")
_ROWS: Final = struct.Struct("!QQQ")
_JOB: Final = struct.Struct("!BBqqQQQQQQQ")
_UNITS: Final = struct.Struct("!Q")
_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


class Isolation(StrEnum):
    """What an execution shares with no other: a process, a V8 isolate, or a context in one."""

    CONTEXT = "context"
    ISOLATE = "isolate"
    PROCESS = "process"


DEFAULT_ISOLATION: Final = Isolation.CONTEXT


class Kind(IntEnum):
    """The kinds of frames."""

    JOB = 1
    SOURCE = 2
    INPUT = 3
    END = 4
    CONTEXT = 5
    STREAM = 6
    CHUNK = 7
    CHECKS = 8
    READY = 16
    STARTED = 17
    LOG = 18
    RESULT = 19
    OUTPUT = 20
    VERDICT = 21
    AGAIN = 22
    ERROR = 23
    USED = 24


Frame = tuple[Kind, bytes | bytearray | memoryview]


class JobHeader(NamedTuple):
    """The JOB frame; `mode` is one of those above, `sent_ns` of the monotonic clock, or 0."""

    version: int
    mode: int
    seed: int
    clock_ms: int
    wall_ms: int
    memory_bytes: int
    output_bytes: int
    console_lines: int
    console_bytes: int
    console_line_bytes: int
    sent_ns: int


class ChunkHeader(NamedTuple):
    """The CHUNK frame: a state, or a piece of the input, which begins with this line."""

    is_state: bool
    line: int
    length: int


class Rows(NamedTuple):
    """The USED frame: the records that a part has read, written and failed with, so far."""

    rows_in: int
    rows_out: int
    rows_failed: int


# The longest body of each kind. A verdict's strings are clipped (16 Ki units of message, 16 Ki of
# stack, or 64 Ki of schema errors); a unit takes at most six bytes in JSON. A context has up to
# 64 KiB of params and 16 labels.
MAX_BODY_BYTES: Final = {
    Kind.JOB: _JOB.size,
    Kind.SOURCE: 8 * 1024 * 1024,
    Kind.INPUT: CHUNK_BYTES,
    Kind.END: 0,
    Kind.CONTEXT: 1024 * 1024,
    Kind.STREAM: 16 * 1024,
    Kind.CHUNK: _CHUNK.size,
    Kind.CHECKS: CHUNK_BYTES,
    Kind.READY: 8 * 1024,
    Kind.STARTED: 0,
    Kind.LOG: 128 * 1024,
    Kind.RESULT: _UNITS.size,
    Kind.OUTPUT: CHUNK_BYTES,
    Kind.VERDICT: 512 * 1024,
    Kind.AGAIN: 0,
    Kind.ERROR: 512 * 1024,
    Kind.USED: _ROWS.size,
}


class ProtocolError(Exception):
    """The other side violated the protocol."""


def check_header(header: bytes | bytearray | memoryview) -> tuple[Kind, int]:
    """Read a header. Raises ProtocolError for an unknown kind or a body over its limit."""
    number, length = HEADER.unpack(header)
    try:
        kind = Kind(number)
    except ValueError:
        message = f"frame of unknown kind {number}"
        raise ProtocolError(message) from None
    if length > MAX_BODY_BYTES[kind]:
        message = f"frame {kind.name} of {length} bytes"
        raise ProtocolError(message)
    return kind, length


def encode_json(value: object) -> bytes:
    """Encode as ASCII JSON; lone surrogates become escapes."""
    return _encode(value).encode("ascii")


def decode_json(body: bytes | memoryview) -> Any:  # noqa: ANN401 - any JSON value
    """Decode JSON that `encode_json` or the harness made."""
    return json.loads(bytes(body))


def encode_job(header: JobHeader) -> bytes:
    """Encode the body of a JOB."""
    return _JOB.pack(*header)


def decode_job(body: bytes | memoryview) -> JobHeader:
    """Decode the body of a JOB. Raises ProtocolError."""
    try:
        header = JobHeader._make(_JOB.unpack(body))
    except struct.error as error:
        raise ProtocolError(str(error)) from None
    if header.version != VERSION:
        message = f"protocol {header.version}"
        raise ProtocolError(message)
    return header


def encode_result(units: int) -> bytes:
    """Encode the body of a RESULT."""
    return _UNITS.pack(units)


def decode_result(body: bytes) -> int:
    """Decode the body of a RESULT. Raises ProtocolError."""
    if len(body) != _UNITS.size:
        message = f"a result of {len(body)} bytes"
        raise ProtocolError(message)
    units: int = _UNITS.unpack(body)[0]
    return units


def encode_chunk(header: ChunkHeader) -> bytes:
    """Encode the body of a CHUNK."""
    return _CHUNK.pack(*header)


def decode_chunk(body: bytes | memoryview) -> ChunkHeader:
    """Decode the body of a CHUNK. Raises ProtocolError."""
    try:
        return ChunkHeader._make(_CHUNK.unpack(body))
    except struct.error as error:
        raise ProtocolError(str(error)) from None


def encode_rows(rows: Rows) -> bytes:
    """Encode the body of a USED."""
    return _ROWS.pack(*rows)


def decode_rows(body: bytes | memoryview) -> Rows:
    """Decode the body of a USED. Raises ProtocolError."""
    try:
        return Rows._make(_ROWS.unpack(body))
    except struct.error as error:
        raise ProtocolError(str(error)) from None


def join_frames(frames: Iterable[Frame]) -> list[bytes | bytearray | memoryview]:
    """Join small frames into pieces for one system call each; large bodies are not copied."""
    pieces: list[bytes | bytearray | memoryview] = []
    small = bytearray()
    for kind, body in frames:
        small += HEADER.pack(kind, len(body))
        if len(body) <= SMALL_BYTES:
            small += body
        else:
            pieces += [bytes(small), body]
            small = bytearray()
    if small:
        pieces.append(bytes(small))
    return pieces


def send_frames(channel: socket.socket, frames: Iterable[Frame]) -> None:
    """Send frames on a blocking socket, on the cell's side."""
    for piece in join_frames(frames):
        channel.sendall(piece)


class FrameReader:
    """Reads frames from a blocking socket, on the cell's side."""

    def __init__(self, channel: socket.socket) -> None:
        """Read from `channel`."""
        self._channel = channel
        self._buffer = bytearray(PIECE_BYTES)
        self._start = 0
        self._end = 0

    def wait(self) -> None:
        """Wait for the beginning of a frame. Raises EOFError at the end."""
        if self._start == self._end:
            self._start = self._end = 0
            self._receive(PIECE_BYTES)

    def read(self) -> tuple[Kind, memoryview]:
        """Read a frame; its body is valid until the next read. Raises EOFError at the end."""
        kind, length = self.read_header()
        return kind, self._take(length)

    def read_header(self) -> tuple[Kind, int]:
        """Read a frame's kind and the length of its body, which `pieces` yields."""
        return check_header(self._take(HEADER.size))

    def pieces(self, length: int) -> Iterator[memoryview]:
        """Yield a body in pieces, each valid until the next. Raises EOFError at the end."""
        while length > 0:
            if self._start == self._end:
                self._start = self._end = 0
                self._receive(PIECE_BYTES)
            piece = self._take(min(length, self._end - self._start))
            length -= len(piece)
            yield piece

    def expect(self, kind: Kind) -> memoryview:
        """Read one frame of this kind. Raises ProtocolError for any other."""
        received, body = self.read()
        if received is not kind:
            message = f"frame {received.name} where {kind.name} was due"
            raise ProtocolError(message)
        return body

    def _take(self, length: int) -> memoryview:
        """Take `length` bytes; one receive may also fetch bytes of the next frames."""
        if len(self._buffer) - self._start < length:
            rest = self._buffer[self._start : self._end]
            self._buffer = rest + bytes(max(length, len(self._buffer)) - len(rest))
            self._start, self._end = 0, len(rest)
        while (missing := length - (self._end - self._start)) > 0:
            self._receive(max(missing, PIECE_BYTES))
        taken = memoryview(self._buffer)[self._start : self._start + length]
        self._start += length
        if self._start == self._end:
            self._start = self._end = 0
        return taken

    def _receive(self, max_bytes: int) -> None:
        free = memoryview(self._buffer)[self._end : self._end + max_bytes]
        count = self._channel.recv_into(free)
        if count == 0:
            raise EOFError
        self._end += count
