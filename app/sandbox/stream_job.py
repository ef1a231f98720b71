"""Run the part of a stream in the cell: chunks go into V8 one by one, output comes out between."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from app.sandbox.console import Console
from app.sandbox.isolates import Isolate, Value
from app.sandbox.job_reader import JobReader, NotUtf8
from app.sandbox.protocol import (
    CHUNK_BYTES,
    ChunkHeader,
    Frame,
    Kind,
    Rows,
    decode_json,
    encode_json,
    encode_rows,
)

# The operations of harness.js, by its numbers.
_ADVANCE, _END, _TEXT, _BYTES, _ERRORS, _LENGTH, _OPEN = range(8, 15)
# Its answers to the first two.
_FULL, _FAILED, _AGAIN = 1, -1, -2


class OutputTooLarge(Exception):
    """The part's output exceeds its limit."""


class StreamFailed(Exception):
    """The harness has the failure."""


class StreamJob:
    """One part, in an isolate with the harness; `paused` stops the script's clock."""

    def __init__(
        self,
        isolate: Isolate,
        reader: JobReader,
        *,
        call: Callable[[Any], Value],
        send: Callable[[Sequence[Frame]], None],
        paused: Callable[[], AbstractContextManager[None]],
        limit: Callable[[int], None],
        output_bytes: int,
    ) -> None:
        """Take what it works with; `limit` widens the memory limit for a chunk of some length."""
        self._isolate = isolate
        self._reader = reader
        self._call = call
        self._send = send
        self._paused = paused
        self._limit = limit
        self._left_bytes = output_bytes
        self.sent_bytes = 0
        self._console: Console | None = None
        self._options: dict[str, Any] = {}
        self._buffer = memoryview(b"")

    def open(self) -> None:
        """Prepare the harness; before user code runs."""
        self._number(_OPEN)
        self._buffer = self._isolate.open_buffer()

    def begin(self, console: Console | None, options_and_context: bytearray) -> None:
        """Give options and context to the harness, once the source has run."""
        self._console = console
        text = options_and_context.decode("ascii")
        self._options, end = json.JSONDecoder().raw_decode(text)
        self._console_of().set_context_units(end)
        if self._give(options_and_context, latin1=self._isolate.takes_latin1) < 0:
            raise StreamFailed
        self._send_paused([(Kind.USED, encode_rows(self._rows))])

    def run(self) -> int:
        """Run the part; return the length of the output that comes at the end.

        Raises StreamFailed, OutputTooLarge, and NotUtf8 for a text.
        """
        while (received := self._receive()) is not None:
            self._give_chunk(*received)
            self._advance(_ADVANCE)
            self._send_paused([*self._taken(), (Kind.USED, encode_rows(self._rows))])
        self._advance(_END)
        self._send_paused(self._taken())
        return self._number(_LENGTH)

    def _receive(self) -> tuple[ChunkHeader, bytearray] | None:
        with self._paused():
            header = self._reader.next_chunk()
            if header is None:
                return None
            self._limit(header.length)
            return header, self._reader.receive_chunk(header.length)

    def _give_chunk(self, header: ChunkHeader, chunk: bytearray) -> None:
        about: dict[str, object] = {"state": bool(header.is_state), "line": header.line}
        latin1 = self._isolate.takes_latin1
        if header.is_state:
            pass
        elif self._options["format"] == "bytes":
            self._buffer[: len(chunk)] = chunk
            about.update(bytes=len(chunk), count=0, bad=None)
            chunk = bytearray()
        else:
            bad = _repair(chunk, by_line=self._options["format"] != "text")
            count = chunk.count(b"\n") + (bool(chunk) and not chunk.endswith(b"\n"))
            about.update(count=count, bad=bad or None)
        if latin1 and not chunk.isascii():
            try:
                chunk = bytearray(chunk.decode().encode("latin-1"))
            except UnicodeEncodeError:
                latin1 = False
        head = encode_json(about)
        self._console_of().set_context_units(len(head))
        self._give(head + chunk, latin1=latin1)

    def _give(self, text: bytes | bytearray, *, latin1: bool) -> int:
        with self._isolate.string(text, latin1=latin1) as value:
            return self._integer_of(self._call(value))

    def _number(self, operation: int) -> int:
        return self._integer_of(self._call(self._isolate.number(operation)))

    @staticmethod
    def _integer_of(answer: Value) -> int:
        number = answer.integer
        answer.free()
        return number

    def _text(self, operation: int) -> bytes:
        answer = self._call(self._isolate.number(operation))
        text = bytes(answer.memory)
        answer.free()
        return text

    def _advance(self, operation: int) -> None:
        answer = self._number(operation)
        while answer in (_AGAIN, _FULL):
            if answer == _FULL:
                self._send_paused(self._taken())
            answer = self._number(_ADVANCE)
        if answer == _FAILED:
            self._send_paused(self._errors())
            raise StreamFailed

    def _taken(self) -> list[Frame]:
        """Take the output and the errors of records so far."""
        if self._options["output"] == "bytes":
            return [*self._errors(), *self._pieces()]
        written = self._text(_TEXT)
        self._count(len(written))
        starts = range(0, len(written), CHUNK_BYTES)
        view = memoryview(written)
        return [
            *self._errors(),
            *((Kind.OUTPUT, view[at : at + CHUNK_BYTES]) for at in starts),
        ]

    def _pieces(self) -> list[Frame]:
        pieces: list[Frame] = []
        while count := self._number(_BYTES):
            self._count(count)
            pieces.append((Kind.OUTPUT, bytes(self._buffer[:count])))
        return pieces

    def _errors(self) -> list[Frame]:
        if not self._rows.rows_failed:
            return []
        errors = decode_json(self._text(_ERRORS))
        return [(Kind.ERROR, encode_json(each)) for each in errors]

    def _count(self, count: int) -> None:
        self.sent_bytes += count
        if self.sent_bytes > self._left_bytes:
            raise OutputTooLarge

    def _send_paused(self, frames: Sequence[Frame]) -> None:
        if frames:
            with self._paused():
                self._send(frames)

    def _console_of(self) -> Console:
        if self._console is None:
            raise RuntimeError("the stream has not begun")
        return self._console

    @property
    def _rows(self) -> Rows:
        return Rows(*self._console_of().progress[1:])


def _repair(chunk: bytearray, *, by_line: bool) -> list[object]:
    """Replace lines that are not UTF-8; return their indexes, each with what is wrong.

    Without `by_line`, raises NotUtf8.
    """
    if chunk.isascii():
        return []
    try:
        chunk.decode()
    except UnicodeDecodeError as error:
        if not by_line:
            raise NotUtf8(error.reason, error.start) from None
    else:
        return []
    bad: list[object] = []
    lines = chunk.split(b"\n")
    for index, line in enumerate(lines):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            bad += [index, f"not UTF-8: {error.reason} at byte {error.start} of the line"]
            # Not empty: the last line would not exist.
            lines[index] = bytearray(b"?")
    chunk[:] = b"\n".join(lines)
    return bad
