"""Ambiguous framing is refused with 400, and nothing after it is read as a request."""

import json

import pytest

from tests.support.raw_connections import Answer, answer_on, connected
from tests.support.system import System

START = b"POST /scripts/check HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"
# The end of a head, and an empty chunked body.
EMPTY = b"\r\n\r\n0\r\n\r\n"
# The request that an attacker tries to smuggle.
HIDDEN = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

AMBIGUOUS = {
    # Two lengths.
    "length-and-chunked": START + b"Content-Length: 5\r\nTransfer-Encoding: chunked" + EMPTY,
    "chunked-and-length": START + b"Transfer-Encoding: chunked\r\nContent-Length: 5" + EMPTY,
    "chunked-and-length-0": START + b"Transfer-Encoding: chunked\r\nContent-Length: 0" + EMPTY,
    "two-lengths": START + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "list-of-lengths": START + b"Content-Length: 0, 5\r\n\r\n",
    # Odd lengths and codings.
    "length-plus": START + b"Content-Length: +0\r\n\r\n",
    "length-minus": START + b"Content-Length: -1\r\n\r\n",
    "length-hex": START + b"Content-Length: 0x0\r\n\r\n",
    "length-underscore": START + b"Content-Length: 0_0\r\n\r\n",
    "length-empty": START + b"Content-Length:\r\n\r\n",
    "length-quoted": START + b'Content-Length: "0"\r\n\r\n',
    "length-of-40-digits": START + b"Content-Length: " + b"1" * 40 + b"\r\n\r\n",
    "coding-twice": START + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity" + EMPTY,
    "coding-list": START + b"Transfer-Encoding: chunked, identity" + EMPTY,
    "coding-unknown": START + b"Transfer-Encoding: xchunked" + EMPTY,
    "coding-identity": START + b"Transfer-Encoding: identity\r\n\r\n",
    "coding-gzip": START + b"Transfer-Encoding: gzip, chunked" + EMPTY,
    "coding-quoted": START + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "coding-vertical-tab": START + b"Transfer-Encoding: \x0bchunked" + EMPTY,
    "coding-empty": START + b"Transfer-Encoding:\r\n\r\n",
    "coding-of-1.0": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n",
    # Odd line endings and folded lines.
    "space-before-colon": START + b"Transfer-Encoding : chunked" + EMPTY,
    "space-before-name": START.replace(b"Content-Type", b" Transfer-Encoding: chunked\r\nX")
    + b"\r\n",
    "folded-value": START + b"X: y\r\n Transfer-Encoding: chunked" + EMPTY,
    "folded-by-tab": START + b"Transfer-Encoding:\r\n\tchunked" + EMPTY,
    "lone-lf": START + b"X: y\nTransfer-Encoding: chunked" + EMPTY,
    "lone-lf-in-the-request-line": START.replace(b"1.1\r\n", b"1.1\n")
    + b"Content-Length: 0\r\n\r\n",
    "lone-lf-at-the-end": START + b"Content-Length: 0\r\n\n",
    "only-lf": (START + b"Content-Length: 0\r\n\r\n").replace(b"\r\n", b"\n"),
    "lone-cr": START + b"X: y\rTransfer-Encoding: chunked" + EMPTY,
    "two-cr": START + b"X: y\r\r\nContent-Length: 0\r\n\r\n",
    "nul": START + b"X: y\x00\r\nContent-Length: 0\r\n\r\n",
    "no-colon": START + b"Transfer-Encoding chunked" + EMPTY,
    "no-name": START + b": chunked" + EMPTY,
    # Odd hosts.
    "two-hosts": START + b"Host: elsewhere.example\r\nContent-Length: 0\r\n\r\n",
    "no-host": b"GET /health/live HTTP/1.1\r\n\r\n",
    "a-tunnel": b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n",
    "an-asterisk": b"GET * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a-bare-name": b"GET health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "another-scheme": b"GET ftp://127.0.0.1/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "no-authority": b"GET http:///health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "user-in-authority": b"GET http://127.0.0.1@b.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    # Odd request lines.
    "two-spaces": b"GET  /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "tabs": b"GET\t/health/live\tHTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "space-in-target": b"GET /health/live HTTP/1.1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "0.9": b"GET /health/live\r\n\r\n",
    "version-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "version-9.9": b"GET /health/live HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
    "version-lower-case": b"GET /health/live http/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    # Odd chunks.
    "chunk-hex": CHUNKED + b"0x1\r\n1\r\n0\r\n\r\n",
    "chunk-minus": CHUNKED + b"-1\r\n1\r\n0\r\n\r\n",
    "chunk-longer": CHUNKED + b"1\r\n12\r\n0\r\n\r\n",
    "chunk-lf": CHUNKED + b"1\n1\n0\n\n\r\n",
    "chunk-lf-in-extension": CHUNKED + b"1;a\nb\r\n1\r\n0\r\n\r\n",
    "chunk-of-68-bits": CHUNKED + b"F" * 17 + b"\r\n1\r\n0\r\n\r\n",
    "chunk-of-64-bits": CHUNKED + b"8" + b"0" * 15 + b"\r\n",
    "chunk-of-40-digits": CHUNKED + b"0" * 40 + b"1\r\n1\r\n0\r\n\r\n",
}


def _exchange(system: System, sent: bytes) -> Answer:
    """Send, and read until the server closes: a second response would be in the body."""
    with connected(system.port) as connection:
        connection.sendall(sent)
        answer = answer_on(connection)
    assert answer is not None
    return answer


@pytest.mark.parametrize("sent", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_ambiguous_framing_is_refused_and_the_connection_closes(
    system: System, sent: bytes
) -> None:
    answer = _exchange(system, sent + HIDDEN)

    assert answer.status == 400, answer
    assert answer.headers["connection"] == "close"
    assert json.loads(answer.body)["type"] == "urn:crivo:problem:malformed-request"


@pytest.mark.parametrize(
    "body",
    [
        b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        b"01;ext=1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        # Trailers are read and ignored.
        b"2\r\n{}\r\n0\r\nContent-Length: 50\r\nHost: x\r\n\r\n",
    ],
)
def test_a_chunked_body_ends_at_its_last_chunk(system: System, body: bytes) -> None:
    last = HIDDEN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")

    answer = _exchange(system, CHUNKED + body + last)

    # {} is not a valid upload: it was read to its end, and a request follows it.
    assert answer.status == 422
    assert answer.body.count(b"HTTP/1.1 200 ") == 1


@pytest.mark.parametrize(
    "length", [b"Content-Length: 2, 2", b"Content-Length: 2\r\nContent-Length: 2"]
)
def test_the_same_length_may_be_sent_twice(system: System, length: bytes) -> None:
    answer = _exchange(system, START + length + b"\r\nConnection: close\r\n\r\n{}")

    assert answer.status == 422


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://127.0.0.1/health/live", "127.0.0.1"),
        ("HTTP://localhost:80/docs?x=1", "127.0.0.1"),
        ("https://[::1]/health/live", "127.0.0.1"),
        # The target's authority counts, not Host (RFC 9112, 3.2.2).
        ("http://127.0.0.1/health/live", "elsewhere.example"),
    ],
)
def test_a_target_may_be_in_absolute_form(system: System, target: str, host: str) -> None:
    lines = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"

    assert _exchange(system, lines.encode()).status == 200


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://elsewhere.example/scripts", 421),
        ("http://127.0.0.1.elsewhere.example/scripts", 421),
        ("http://127.0.0.1:x/scripts", 400),
        ("http://127.0.0.1", 200),
        ("http://127.0.0.1?x", 422),
    ],
)
def test_the_authority_of_a_target_is_checked_like_a_host(
    system: System, target: str, status: int
) -> None:
    lines = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"

    assert _exchange(system, lines.encode()).status == status


def test_an_origin_is_compared_with_the_authority_of_the_target(system: System) -> None:
    head = "GET http://localhost:{port}/scripts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    same = head.format(port=system.port) + f"Origin: http://localhost:{system.port}\r\n\r\n"
    other = head.format(port=system.port) + "Origin: http://x\r\n\r\n"

    assert _exchange(system, same.encode()).status == 200
    assert _exchange(system, other.encode()).status == 403


def test_options_may_address_the_server_as_a_whole(system: System) -> None:
    answer = _exchange(
        system, b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    )

    assert answer.status == 204
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
