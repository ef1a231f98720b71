"""Check request framing strictly: no two HTTP readers may place a request's end differently.

A proxy in front of this API may read the same bytes differently and see one request where this
server sees two: request smuggling. So each line of a head, a chunk and a trailer is matched with
the grammar of RFC 9112 before llhttp parses it. Refused with 400 are also Transfer-Encoding beside
Content-Length or from HTTP/1.0 (6.1), more than one Content-Length, chunks above 2**60 bytes (7.1)
and other major versions. A target in absolute form (3.2.2) is rewritten to origin form, and its
authority replaces Host.
"""

import re
from typing import Final, NamedTuple

from app.errors import MalformedRequest
from app.http.middleware import MAX_HEADERS_BYTES, MAX_TARGET_BYTES, HeadTooLarge, TargetTooLong

# Limits a head, the line of a chunk, and trailers; the middleware limits the parts of a head.
MAX_HEAD_BYTES: Final = MAX_TARGET_BYTES + MAX_HEADERS_BYTES

_HEAD_ENDS: Final = re.compile(rb"\n\r?\n")
_TOKEN: Final = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]++"
_REQUEST_LINE: Final = (
    rb"(?P<method>" + _TOKEN + rb") (?P<target>[\x21-\x7e]++) HTTP/(?P<version>[0-9]\.[0-9])\r\n"
)
_FIELD: Final = _TOKEN + rb":[\t\x20-\x7e\x80-\xff]*+\r\n"
# Atomic, not possessive: Python before 3.11.5 matches possessive groups wrongly.
_HEAD: Final = re.compile(_REQUEST_LINE + rb"(?P<fields>(?>(?:" + _FIELD + rb")*))\r\n")
_TRAILER: Final = re.compile(_FIELD)
# What is wrong with a head that does not match; the first that is found is named.
_FAULTS: Final = (
    (re.compile(rb"(?<!\r)\n"), "a line of the head ends in LF without CR"),
    (re.compile(rb"\r(?!\n)"), "a CR stands within a line of the head"),
    (re.compile(rb"\n[ \t]"), "a line of the head is folded"),
    (re.compile(rb"[^\t\r\n\x20-\x7e\x80-\xff]"), "the head contains a control character"),
    (
        re.compile(rb"\A(?!" + _REQUEST_LINE + rb")"),
        "the request line is not a method, a target and a version",
    ),
)
# Twenty digits, as many as 64 bits fill; llhttp refuses what exceeds them.
_LENGTH: Final = re.compile(rb"[0-9]{1,20}")
_CHUNK_LINE: Final = re.compile(rb"(?P<size>[0-9A-Fa-f]{1,20})(?:;[\t\x20-\x7e\x80-\xff]*+)?\r\n")
# Far above any body, and far below what 64 bits hold.
_MAX_CHUNK_BYTES: Final = 2**60
# User information in an authority is rejected, as RFC 9110 (4.2.4) advises.
_ABSOLUTE: Final = re.compile(
    rb"https?://(?P<authority>(?:\[[0-9a-f:.]+\]|[^][:/?#@\\]+)(?::[0-9]*)?)(?P<rest>[/?][^#]*)?",
    re.IGNORECASE,
)
# Fields that decide where a request ends: another reader could heed them in a trailer.
_NO_TRAILERS: Final = (b"content-length", b"transfer-encoding")

Headers = list[tuple[bytes, bytes]]


class RequestHead(NamedTuple):
    """A head that matches the grammar; `fields` are its header lines as they arrived."""

    method: str
    target: bytes
    version: str
    fields: bytes


class Framing(NamedTuple):
    """What the headers say about the request's body and about the connection."""

    # None for a chunked body.
    length: int | None
    keeps_alive: bool
    awaits_continue: bool


def take_head(received: bytearray, *, scanned: int) -> bytes | None:
    """Remove a complete head from the received bytes; None if it is incomplete.

    The first `scanned` bytes are known not to complete it. Raises HeadTooLarge or TargetTooLong
    above the limit, MalformedRequest for a byte with which no request begins.
    """
    if received and received[0] <= ord(" "):
        raise malformed("the request line begins with a blank or a control character")
    found = _HEAD_ENDS.search(received, max(0, scanned - 2))
    size = len(received) if found is None else found.end()
    if size > MAX_HEAD_BYTES:
        if received.find(b"\n", 0, MAX_TARGET_BYTES) < 0:
            raise TargetTooLong(f"the limit of an address is {MAX_TARGET_BYTES} bytes")
        raise HeadTooLarge(f"the limit of a request's head is {MAX_HEAD_BYTES} bytes")
    return None if found is None else _take(received, size)


def read_head(head: bytes) -> RequestHead:
    """Match a complete head with the grammar. Raises MalformedRequest."""
    parts = _HEAD.fullmatch(head)
    if parts is None:
        faults = (text for pattern, text in _FAULTS if pattern.search(head))
        raise malformed(next(faults, "a line of the head is not a name, a colon and a value"))
    method, target, version, fields = parts.groups()
    if not version.startswith(b"1."):
        raise malformed("only HTTP/1.0 and HTTP/1.1 are supported")
    # A later minor version is read as the latest that is known (RFC 9110, 2.5).
    known = "1.0" if version == b"1.0" else "1.1"
    return RequestHead(method.decode("ascii"), target, known, fields)


def framing_of(headers: Headers, version: str) -> Framing:
    """Read the headers that frame a request; their names are in lower case.

    Raises MalformedRequest.
    """
    hosts, lengths, codings, connection, expect = 0, [], [], b"", b""
    for name, value in headers:
        match name:
            case b"host":
                hosts += 1
            case b"content-length":
                lengths.append(value)
            case b"transfer-encoding":
                codings.append(value)
            case b"connection":
                connection += b"," + value
            case b"expect":
                expect += b"," + value
            case _:
                pass
    if hosts > 1 or (hosts == 0 and version != "1.0"):
        raise malformed("Host must be sent once")
    return Framing(
        length=_body_length(lengths, codings, version),
        keeps_alive=version != "1.0" and not _lists(connection, b"close"),
        awaits_continue=version != "1.0" and _lists(expect, b"100-continue"),
    )


def _body_length(lengths: list[bytes], codings: list[bytes], version: str) -> int | None:
    if codings:
        if lengths:
            raise malformed("Content-Length and Transfer-Encoding exclude each other")
        if version == "1.0":
            raise malformed("HTTP/1.0 has no Transfer-Encoding")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            raise malformed("the only supported Transfer-Encoding is chunked, once")
        return None
    if not lengths:
        return 0
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise malformed("Content-Length is not one number")
    return int(lengths[0])


def _lists(value: bytes, token: bytes) -> bool:
    return bool(value) and token in (each.strip() for each in value.lower().split(b","))


def in_origin_form(head: RequestHead, headers: Headers) -> bytes:
    """Return the target in origin form; the authority of an absolute one replaces Host.

    Raises MalformedRequest.
    """
    if head.target.startswith(b"/"):
        return head.target
    if (head.method, head.target) == ("OPTIONS", b"*"):
        # It addresses the server as a whole; the index answers for it.
        return b"/"
    found = _ABSOLUTE.fullmatch(head.target)
    if found is None:
        raise malformed("the target is neither a path nor an http address")
    headers[:] = [(b"host", found["authority"]), *(x for x in headers if x[0] != b"host")]
    path = bytes(found["rest"] or b"/")
    return path if path.startswith(b"/") else b"/" + path


class SizedBody:
    """A body whose length its head declares."""

    def __init__(self, length: int) -> None:
        """Expect this number of bytes."""
        self._left = length

    @property
    def complete(self) -> bool:
        """Whether the body has arrived."""
        return self._left == 0

    def take(self, received: bytearray) -> bytes:
        """Remove what belongs to the body from the received bytes."""
        piece = _take(received, self._left)
        self._left -= len(piece)
        return piece


class ChunkedBody:
    """A body in chunks (RFC 9112, 7.1), with their lines and the trailers."""

    def __init__(self) -> None:
        """Expect the first chunk."""
        self.complete = False
        self._left = 0
        self._after_data = False
        self._in_trailers = False
        self._trailer_bytes = 0

    def take(self, received: bytearray) -> bytes:
        """Remove the next line or piece of a chunk from the received bytes; empty for none.

        Raises MalformedRequest, and HeadTooLarge for a line or trailers above the limit.
        """
        if self._left:
            piece = _take(received, self._left)
            self._left -= len(piece)
            return piece
        if self._after_data and received and not received.startswith(b"\r"):
            raise malformed("a chunk is longer than its size")
        line = _take_line(received)
        if line is None:
            return b""
        if self._in_trailers:
            self._read_trailer(line)
        elif self._after_data:
            self._after_data = False
            if line != b"\r\n":
                raise malformed("a chunk is longer than its size")
        else:
            self._begin_chunk(line)
        return line

    def _begin_chunk(self, line: bytes) -> None:
        parts = _CHUNK_LINE.fullmatch(line)
        if parts is None:
            raise malformed("the line of a chunk is not a size in hexadecimal digits")
        self._left = int(parts["size"], 16)
        if self._left > _MAX_CHUNK_BYTES:
            raise malformed("a chunk has more than 2**60 bytes")
        self._after_data = self._left > 0
        self._in_trailers = self._left == 0

    def _read_trailer(self, line: bytes) -> None:
        self.complete = line == b"\r\n"
        if self.complete:
            return
        self._trailer_bytes += len(line)
        if self._trailer_bytes > MAX_HEAD_BYTES:
            raise HeadTooLarge(f"the limit of trailers is {MAX_HEAD_BYTES} bytes")
        if not _TRAILER.fullmatch(line):
            raise malformed("a trailer is not a name, a colon and a value")
        if line.partition(b":")[0].lower() in _NO_TRAILERS:
            raise malformed("a trailer changes the framing of its request")


def malformed(reason: str) -> MalformedRequest:
    """Return the refusal of bytes that are not a valid request."""
    return MalformedRequest(f"the request is not valid HTTP: {reason}")


def _take(received: bytearray, max_bytes: int) -> bytes:
    """Remove at most this many bytes from the received bytes."""
    if len(received) <= max_bytes:
        piece = bytes(received)
        received.clear()
    else:
        with memoryview(received) as view:
            piece = bytes(view[:max_bytes])
        del received[:max_bytes]
    return piece


def _take_line(received: bytearray) -> bytes | None:
    """Remove a line from the received bytes, with its end; None if it is incomplete."""
    size = received.find(b"\n") + 1
    if (size or len(received)) > MAX_HEAD_BYTES:
        raise HeadTooLarge(f"the limit of a chunk's line is {MAX_HEAD_BYTES} bytes")
    return _take(received, size) if size else None
