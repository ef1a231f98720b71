"""Follow a resource by its server-sent events, over lost connections."""

from collections.abc import Iterator
from typing import Final, Generic

from msgspec import DecodeError, ValidationError

from crivo.errors import CrivoError, UnexpectedResponse, Unreachable
from crivo.json_text import decode
from crivo.retries import Retry, patient, pause_before_resuming
from crivo.waits import EndingT
from crivo.wire import Reply, Request

_EVENTS: Final = "text/event-stream"
_NO_CONTENT: Final = 204
# The service sends a comment after 15 s without an event.
_SILENCE_SECONDS: Final = 20.0


class Watch(Generic[EndingT]):
    """One stream of events: the next request to send, and the states that arrived."""

    def __init__(self, path: str, shape: type[EndingT], *, retry: Retry) -> None:
        """Start before the first event."""
        self.finished = False
        self._path = path
        self._shape = shape
        self._retry = self._usual = retry
        self._failures = 0
        self._last_id = ""
        self._text = b""

    def request(self) -> Request:
        """Return the request for the events from here on."""
        headers = {"Accept": _EVENTS}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        return Request(method="GET", path=self._path, headers=headers, wait=_SILENCE_SECONDS)

    def begin(self, reply: Reply) -> None:
        """Take the head of a response. Raises CrivoError."""
        self._text = b""
        if reply.error is not None:
            raise reply.error
        self._retry = patient(self._usual)
        if reply.status == _NO_CONTENT:
            self.finished = True
        elif not reply.headers.get("content-type", "").startswith(_EVENTS):
            raise reply.unexpected("events")

    def items(self, chunk: bytes) -> Iterator[EndingT]:
        """Read the events that a chunk completes."""
        self._text += chunk.replace(b"\r\n", b"\n")
        *events, self._text = self._text.split(b"\n\n")
        for event in events:
            data = self._data_of(event)
            if data:
                self._failures = 0
                state = self._decoded(data)
                self.finished = state.is_final
                yield state

    def end(self) -> None:
        """Take the end of a response, which the last event has announced if it is the last."""

    def failed(self, error: CrivoError | None) -> float:
        """Return the seconds to wait before the next request. Raises the error."""
        self._failures += 1
        error = error or Unreachable("the stream of events ends before their last one")
        return pause_before_resuming(error, self._failures, retry=self._retry)

    def _data_of(self, event: bytes) -> bytes:
        data = []
        for line in event.split(b"\n"):
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"id":
                self._last_id = value.decode(errors="replace")
            elif field == b"data":
                data.append(value)
        return b"\n".join(data)

    def _decoded(self, data: bytes) -> EndingT:
        try:
            return decode(data, self._shape)
        except (DecodeError, ValidationError):
            message = f"an event holds no {self._shape.__name__}"
            raise UnexpectedResponse(message, status=200) from None
