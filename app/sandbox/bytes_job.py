"""Give a job its input as bytes, and take the bytes of its result, in the cell."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from app.sandbox.isolates import Isolate, Value
from app.sandbox.media_types import is_media_type
from app.sandbox.verdicts import Finished

# The operations of harness.js, by its numbers.
_OPEN_INPUT, _OPEN_OUTPUT, _TAKE, _TYPE = range(15, 19)
_NO_MEMORY: Final = -1
_SHOWN_CHARACTERS: Final = 100


class BytesJob:
    """The input and the result of one job, in an isolate with the harness."""

    def __init__(self, isolate: Isolate, *, call: Callable[[Any], Value]) -> None:
        """Take what it works with."""
        self._isolate = isolate
        self._call = call
        self._buffer = memoryview(b"")

    def open(self, payload: bytearray) -> None:
        """Move the input into V8, before user code runs. Raises Finished if there is no room."""
        if self._number(_OPEN_INPUT) == _NO_MEMORY:
            evidence = "the input could not be allocated"
            raise Finished("out_of_memory", reusable=False, evidence=evidence)
        if payload:
            with self._isolate.open_buffer() as memory:
                memory[:] = payload
            payload.clear()
        self._number(_OPEN_OUTPUT)
        self._buffer = self._isolate.open_buffer()

    def media_type(self) -> str:
        """Return the result's media type. Raises Finished if it is none."""
        answer = self._call(self._isolate.number(_TYPE))
        text = bytes(answer.memory).decode(errors="replace")
        answer.free()
        if is_media_type(text):
            return text
        message = f"the result's `type` {text[:_SHOWN_CHARACTERS]!r} is not a media type"
        raise Finished("invalid_result", message=message)

    def pieces(self, length: int) -> Iterator[bytes]:
        """Yield the result, whose length is known, in pieces of CHUNK_BYTES; user code is over."""
        while length > 0:
            # Without a deadline: nothing but the harness runs.
            answer = self._isolate.call(self._isolate.number(_TAKE))
            count = answer.integer
            answer.free()
            yield bytes(self._buffer[:count])
            length -= count

    def _number(self, operation: int) -> int:
        answer = self._call(self._isolate.number(operation))
        number = answer.integer
        answer.free()
        return number
