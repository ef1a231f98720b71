"""Read a payload in parts that survive a lost connection."""

from collections.abc import Iterator
from typing import Final

from crivo.errors import CrivoError, UnexpectedResponse, Unreachable
from crivo.retries import Retry, patient, pause_before_resuming
from crivo.wire import Reply, Request

_PARTIAL: Final = 206


class Download:
    """One payload on its way: the next request to send, and the bytes received so far."""

    def __init__(self, path: str, *, retry: Retry) -> None:
        """Start with no bytes."""
        self.finished = False
        self.received = 0
        self._path = path
        self._retry = self._usual = retry
        self._failures = 0
        self._etag: str | None = None

    def request(self) -> Request:
        """Return the request for the rest."""
        # As stored: a compressed response could not be resumed.
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if self.received and self._etag:
            headers |= {"Range": f"bytes={self.received}-", "If-Range": self._etag}
        return Request(method="GET", path=self._path, headers=headers)

    def begin(self, reply: Reply) -> None:
        """Take the head of a response. Raises CrivoError."""
        if reply.error is not None:
            raise reply.error
        if self.received and reply.status != _PARTIAL:
            raise UnexpectedResponse(
                f"{reply.url} changed while it was being read", status=reply.status
            )
        self._retry = patient(self._usual)
        self._etag = reply.headers.get("etag")

    def items(self, chunk: bytes) -> Iterator[bytes]:
        """Count a chunk, and yield it."""
        self.received += len(chunk)
        self._failures = 0
        yield chunk

    def end(self) -> None:
        """Take the end of the payload."""
        self.finished = True

    def failed(self, error: CrivoError | None) -> float:
        """Return the seconds to wait before the rest is requested. Raises the error."""
        self._failures += 1
        error = error or Unreachable("the payload ends before its last byte")
        if self.received and not self._etag:
            raise error
        return pause_before_resuming(error, self._failures, retry=self._retry)
