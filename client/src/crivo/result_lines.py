"""Read the results of a batch line by line, over lost connections."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from msgspec import DecodeError, Struct, ValidationError

from crivo.batch_models import BatchResult
from crivo.errors import CrivoError, UnexpectedResponse, Unreachable
from crivo.json_text import decode
from crivo.retries import Retry, patient, pause_before_resuming
from crivo.wire import Reply, Request

T = TypeVar("T")


class _Numbered(Struct):
    line: int


class ResultLines:
    """The lines of one batch's results, each with its line feed.

    Lines have the order of the inputs: after a lost connection, those that have arrived are
    skipped.
    """

    def __init__(self, path: str, *, statuses: Sequence[str], retry: Retry) -> None:
        """Start before the first line."""
        self.finished = False
        self._request = Request(
            method="GET", path=path, query=[("status", each) for each in statuses]
        )
        self._retry = self._usual = retry
        self._failures = 0
        self._last = 0
        self._parts: list[bytes] = []

    def request(self) -> Request:
        """Return the request for all lines."""
        return self._request

    def begin(self, reply: Reply) -> None:
        """Take the head of a response. Raises CrivoError."""
        self._parts = []
        if reply.error is not None:
            raise reply.error
        self._retry = patient(self._usual)

    def items(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the lines that a chunk completes."""
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            line = b"".join((*self._parts, part, b"\n"))
            self._parts = []
            number = _number_of(line)
            if number > self._last:
                self._last = number
                self._failures = 0
                yield line
        if rest:
            self._parts.append(rest)

    def end(self) -> None:
        """Take the end of a response. Raises UnexpectedResponse within a line."""
        if self._parts:
            raise UnexpectedResponse("the results end within a line", status=200)
        self.finished = True

    def failed(self, error: CrivoError | None) -> float:
        """Return the seconds to wait before the next request. Raises the error."""
        self._failures += 1
        error = error or Unreachable("the results end before their last line")
        return pause_before_resuming(error, self._failures, retry=self._retry)


def result_of(line: bytes) -> BatchResult:
    """Read a line. Raises UnexpectedResponse."""
    return _read(line, BatchResult)


def _number_of(line: bytes) -> int:
    return _read(line, _Numbered).line


def _read(line: bytes, shape: type[T]) -> T:
    try:
        return decode(line, shape)
    except (DecodeError, ValidationError):
        message = "a line of the results is not Crivo's JSON"
        raise UnexpectedResponse(message, status=200) from None
