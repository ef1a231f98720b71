"""The HTTP server that requests are compared with: uvicorn's protocol for h11, made strict."""

import asyncio
import re
from typing import Final

import h11
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.http.framing import MAX_HEAD_BYTES

_HEAD_ENDS: Final = re.compile(rb"\n\r?\n")
_LONE_LF: Final = re.compile(rb"(?<!\r)\n")
_FOLDED: Final = re.compile(rb"\n[ \t]")
# Far above any body, and far below what 64 bits hold.
_MAX_CHUNK_BYTES: Final = 2**60
# User information in an authority is rejected, as RFC 9110 (4.2.4) advises.
_ABSOLUTE: Final = re.compile(
    rb"https?://(?P<authority>(?:\[[0-9a-f:.]+\]|[^][:/?#@\\]+)(?::[0-9]*)?)(?P<rest>[/?][^#]*)?",
    re.IGNORECASE,
)


class StrictConnection(h11.Connection):
    """h11's server connection, with strict request framing."""

    @override
    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return h11's next event. Also raises h11.RemoteProtocolError for ambiguous framing."""
        if self.their_state is h11.IDLE:
            _validate_lines(self.trailing_data[0])
        event = super().next_event()
        if isinstance(event, h11.Request):
            _validate_framing(event)
            return _in_origin_form(event)
        # h11 accepts twenty digits; a reader with 64-bit sizes may see another size. If h11 loses
        # this attribute, a body that long still meets the limit of its route.
        if getattr(self._reader, "_bytes_in_chunk", 0) > _MAX_CHUNK_BYTES:
            raise h11.RemoteProtocolError("a chunk has more than 2**60 bytes")
        return event


def _validate_lines(received: bytes) -> None:
    end = _HEAD_ENDS.search(received)
    if end is None:
        return
    head = received[: end.end()]
    if _LONE_LF.search(head):
        raise h11.RemoteProtocolError("a line of the head ends in LF without CR")
    if _FOLDED.search(head):
        raise h11.RemoteProtocolError("a line of the head is folded")


def _validate_framing(request: h11.Request) -> None:
    if not request.http_version.startswith(b"1."):
        raise h11.RemoteProtocolError("only HTTP/1.0 and HTTP/1.1 are supported")
    names = [name for name, _ in request.headers]
    if b"transfer-encoding" in names:
        if b"content-length" in names:
            raise h11.RemoteProtocolError("Content-Length and Transfer-Encoding exclude each other")
        if request.http_version == b"1.0":
            raise h11.RemoteProtocolError("HTTP/1.0 has no Transfer-Encoding")


def _in_origin_form(request: h11.Request) -> h11.Request:
    if request.target.startswith(b"/"):
        return request
    headers = list(request.headers)
    if (request.method, request.target) == (b"OPTIONS", b"*"):
        # It addresses the server as a whole; the index answers for it.
        path = b"/"
    elif found := _ABSOLUTE.fullmatch(request.target):
        path = found["rest"] or b"/"
        headers = [(b"Host", found["authority"]), *(x for x in headers if x[0] != b"host")]
    else:
        raise h11.RemoteProtocolError("the target is neither a path nor an http address")
    return h11.Request(
        method=request.method,
        target=path if path.startswith(b"/") else b"/" + path,
        headers=headers,
        http_version=request.http_version,
    )


class ReferenceProtocol(H11Protocol):
    """uvicorn's protocol, with that connection."""

    # asyncio declares the base class of transports; uvicorn narrows it as here.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.conn = StrictConnection(h11.SERVER, MAX_HEAD_BYTES)
        super().connection_made(transport)
