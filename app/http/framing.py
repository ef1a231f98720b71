"""Where one request ends and the next one begins: only what every reader takes for the same.

h11 is as lenient as RFC 9112 lets it be. A proxy in front of this API may read a lenient line
otherwise, and then takes for one request what are two here: request smuggling. Refused are
therefore, by 400 and the end of the connection, Transfer-Encoding beside Content-Length or from
HTTP/1.0 (6.1), lines of a head that end without CR (2.2) or are folded (5.2), and another major
version. A target in absolute form (3.2.2) becomes one in origin form, and its authority the
Host: what stood in Host means nothing then.
"""

import re
from typing import Any, Final

import h11

_HEAD_ENDS: Final = re.compile(rb"\n\r?\n")
_LONE_LF: Final = re.compile(rb"(?<!\r)\n")
_FOLDED: Final = re.compile(rb"\n[ \t]")
# User information in an authority is refused: RFC 9110 (4.2.4) calls it an attack.
_ABSOLUTE: Final = re.compile(
    rb"https?://(?P<authority>(?:\[[0-9a-f:.]+\]|[^][:/?#@\\]+)(?::[0-9]*)?)(?P<rest>[/?][^#]*)?",
    re.IGNORECASE,
)


class StrictConnection(h11.Connection):
    """h11's connection of a server, which takes for a request only what is one without doubt."""

    def next_event(self) -> Any:  # noqa: ANN401 - as h11 has it
        """Give what h11 gives. Raises h11.RemoteProtocolError also for what h11 would take."""
        if self.their_state is h11.IDLE:
            _require_plain_lines(self.trailing_data[0])
        event = super().next_event()
        if isinstance(event, h11.Request):
            _require_one_length(event)
            return _in_origin_form(event)
        return event


def _require_plain_lines(received: bytes) -> None:
    end = _HEAD_ENDS.search(received)
    if end is None:
        return
    head = received[: end.end()]
    if _LONE_LF.search(head):
        raise h11.RemoteProtocolError("a line of the head ends in LF without CR")
    if _FOLDED.search(head):
        raise h11.RemoteProtocolError("a line of the head is folded")


def _require_one_length(request: h11.Request) -> None:
    if not request.http_version.startswith(b"1."):
        raise h11.RemoteProtocolError("only HTTP/1.0 and HTTP/1.1 are spoken here")
    names = [name for name, _ in request.headers]
    if b"transfer-encoding" in names:
        if b"content-length" in names:
            raise h11.RemoteProtocolError("Content-Length and Transfer-Encoding exclude each other")
        if request.http_version == b"1.0":
            raise h11.RemoteProtocolError("HTTP/1.0 has no Transfer-Encoding")


def _in_origin_form(request: h11.Request) -> h11.Request:
    if request.target.startswith(b"/") or (request.method, request.target) == (b"OPTIONS", b"*"):
        return request
    found = _ABSOLUTE.fullmatch(request.target)
    if found is None:
        raise h11.RemoteProtocolError("the target is neither a path nor an http address")
    path = found["rest"] or b"/"
    return h11.Request(
        method=request.method,
        target=path if path.startswith(b"/") else b"/" + path,
        headers=[
            (b"Host", found["authority"]),
            *(each for each in request.headers if each[0] != b"host"),
        ],
        http_version=request.http_version,
    )
