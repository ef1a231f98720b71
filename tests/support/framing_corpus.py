"""Requests on which HTTP readers disagree, by the rule that they try.

Beside the sections of RFC 9110 and RFC 9112, the classes are those of PortSwigger's research on
request smuggling (CL.TE, TE.CL, TE.TE, CL.0, 0.CL, Expect) and of "Funky chunks" (TERM.EXT,
EXT.TERM, SPILL.TERM).
"""

from typing import Final

HOST: Final = b"Host: 127.0.0.1\r\n"
# A request that attackers try to smuggle; it also ends the connection.
HIDDEN: Final = b"GET /health/live HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
START: Final = b"POST /scripts/check HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
CHUNKED: Final = START + b"Transfer-Encoding: chunked\r\n\r\n"
# The end of a head, and an empty chunked body.
EMPTY: Final = b"\r\n\r\n0\r\n\r\n"


def _get(target: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET %b %b\r\n%b\r\n" % (target, version, HOST)


def _post(fields: bytes, body: bytes = b"") -> bytes:
    return START + fields + b"\r\n\r\n" + body


# Each is refused with 400, and nothing after it is read.
REFUSED: Final[dict[str, dict[str, bytes]]] = {
    "RFC 9112 2.2, line ends": {
        "lone-lf": _post(b"X: y\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
        "lone-lf-in-request-line": _post(b"Content-Length: 0").replace(b"1.1\r\n", b"1.1\n"),
        "lone-lf-at-the-end": START + b"Content-Length: 0\r\n\n",
        "only-lf": _post(b"Content-Length: 0").replace(b"\r\n", b"\n"),
        "lone-cr": _post(b"X: y\rTransfer-Encoding: chunked", b"0\r\n\r\n"),
        "lone-cr-in-request-line": b"GET /\r HTTP/1.1\r\n" + HOST + b"\r\n",
        "lone-cr-before-end": START + b"X: y\r\r\n\r\n",
        "two-cr": _post(b"X: y\r\r\nContent-Length: 0"),
        "lf-cr": _post(b"X: y\n\rContent-Length: 0"),
        "empty-line-first": b"\r\n" + _get(b"/"),
        "lone-lf-first": b"\n" + _get(b"/"),
        "blank-first": b" " + _get(b"/"),
        "blank-line-before-fields": b"GET / HTTP/1.1\r\n \r\n" + HOST + b"\r\n",
    },
    "RFC 9112 2.3, versions": {
        "0.9": b"GET /health/live\r\n\r\n",
        "2.0-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "version-2": _get(b"/", b"HTTP/2.0"),
        "version-9.9": _get(b"/", b"HTTP/9.9"),
        "version-lower-case": _get(b"/", b"http/1.1"),
        "version-without-minor": _get(b"/", b"HTTP/1"),
        "version-of-two-digits": _get(b"/", b"HTTP/1.10"),
        "version-zero-first": _get(b"/", b"HTTP/01.1"),
        "version-space": _get(b"/", b"HTTP/ 1.1"),
        "version-space-after": _get(b"/", b"HTTP/1.1 "),
        "another-protocol": _get(b"/", b"RTSP/1.0"),
        "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    },
    "RFC 9112 3, request lines": {
        "two-spaces": b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n",
        "tabs": b"GET\t/\tHTTP/1.1\r\n" + HOST + b"\r\n",
        "space-in-target": _get(b"/ HTTP/1.1 x"),
        "no-target": b"GET HTTP/1.1\r\n" + HOST + b"\r\n",
        "no-method": b"/ HTTP/1.1\r\n" + HOST + b"\r\n",
        "method-with-colon": b"GET: / HTTP/1.1\r\n" + HOST + b"\r\n",
        "method-with-nul": b"G\x00T / HTTP/1.1\r\n" + HOST + b"\r\n",
        "nul-in-target": _get(b"/\x00"),
        "del-in-target": _get(b"/\x7f"),
        "latin-in-target": _get(b"/\xe9"),
    },
    "RFC 9112 3.2, targets": {
        "tunnel": b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n",
        "asterisk": _get(b"*"),
        "bare-name": _get(b"health/live"),
        "another-scheme": _get(b"ftp://127.0.0.1/"),
        "no-authority": _get(b"http:///health/live"),
        "user-in-authority": _get(b"http://127.0.0.1@b.example/"),
        "backslash-in-authority": _get(b"http://127.0.0.1\\b.example/"),
        "query-only": _get(b"?x"),
    },
    "RFC 9110 7.2, Host": {
        "two-hosts": _post(b"Host: elsewhere.example\r\nContent-Length: 0"),
        "same-host-twice": _post(HOST + b"Content-Length: 0"),
        "no-host": b"GET /health/live HTTP/1.1\r\n\r\n",
        "no-host-absolute": b"GET http://127.0.0.1/ HTTP/1.1\r\n\r\n",
        "two-hosts-1.0": b"GET / HTTP/1.0\r\n" + HOST + HOST + b"\r\n",
        "host-before-space": b"GET / HTTP/1.1\r\nHost : x\r\n" + HOST + b"\r\n",
    },
    "RFC 9112 5, fields": {
        "space-before-colon": _post(b"Transfer-Encoding : chunked", b"0\r\n\r\n"),
        "tab-before-colon": _post(b"Transfer-Encoding\t: chunked", b"0\r\n\r\n"),
        "space-before-name": b"GET / HTTP/1.1\r\n Transfer-Encoding: chunked\r\n" + HOST + b"\r\n",
        "folded-value": _post(b"X: y\r\n Transfer-Encoding: chunked", b"0\r\n\r\n"),
        "folded-by-tab": _post(b"Transfer-Encoding:\r\n\tchunked", b"0\r\n\r\n"),
        "folded-name": _post(b"Transfer-Encoding\r\n : chunked", b"0\r\n\r\n"),
        "no-colon": _post(b"Transfer-Encoding chunked", b"0\r\n\r\n"),
        "no-name": _post(b": chunked", b"0\r\n\r\n"),
        "name-with-space": _post(b"Content Length: 5"),
        "name-with-nul": _post(b"Content-Length\x00: 5"),
        "name-with-latin": _post(b"Content-Length\xa0: 5"),
        "name-quoted": _post(b'"Content-Length": 5'),
        "value-with-nul": _post(b"X: y\x00\r\nContent-Length: 0"),
        "value-with-vertical-tab": _post(b"X: \x0by"),
        "value-with-form-feed": _post(b"X: y\x0c"),
        "value-with-control": _post(b"X: a\x01b"),
        "value-with-del": _post(b"X: a\x7fb"),
    },
    "RFC 9112 6.1, Transfer-Encoding (CL.TE, TE.CL)": {
        "length-and-chunked": _post(
            b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"
        ),
        "chunked-and-length": _post(
            b"Transfer-Encoding: chunked\r\nContent-Length: 5", b"0\r\n\r\n"
        ),
        "chunked-and-length-0": _post(
            b"Transfer-Encoding: chunked\r\nContent-Length: 0", b"0\r\n\r\n"
        ),
        "coding-of-1.0": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n",
        "coding-identity": _post(b"Transfer-Encoding: identity"),
        "coding-gzip-first": _post(b"Transfer-Encoding: gzip, chunked", b"0\r\n\r\n"),
        "coding-not-last": _post(b"Transfer-Encoding: chunked, gzip", b"0\r\n\r\n"),
        "coding-empty": _post(b"Transfer-Encoding:"),
    },
    "PortSwigger, obscured Transfer-Encoding (TE.TE)": {
        "coding-twice": _post(
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"0\r\n\r\n"
        ),
        "coding-twice-chunked": _post(
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"
        ),
        "coding-chunked-chunked": _post(b"Transfer-Encoding: chunked, chunked", b"0\r\n\r\n"),
        "coding-list-empty": _post(b"Transfer-Encoding: chunked,", b"0\r\n\r\n"),
        "coding-xchunked": _post(b"Transfer-Encoding: xchunked", b"0\r\n\r\n"),
        "coding-chunked-x": _post(b"Transfer-Encoding: chunkedx", b"0\r\n\r\n"),
        "coding-quoted": _post(b'Transfer-Encoding: "chunked"', b"0\r\n\r\n"),
        "coding-with-parameter": _post(b"Transfer-Encoding: chunked;q=1", b"0\r\n\r\n"),
        "coding-vertical-tab": _post(b"Transfer-Encoding: \x0bchunked", b"0\r\n\r\n"),
        "coding-nul": _post(b"Transfer-Encoding: chunked\x00", b"0\r\n\r\n"),
        "coding-cr-within": _post(b"Transfer-Encoding: chu\rnked", b"0\r\n\r\n"),
        "coding-no-break-space": _post(b"Transfer-Encoding: chunked\xa0", b"0\r\n\r\n"),
        "coding-tab-after": _post(b"Transfer-Encoding: chunked\t", b"0\r\n\r\n"),
    },
    "RFC 9112 6.3 and RFC 9110 8.6, Content-Length": {
        "two-lengths": _post(b"Content-Length: 0\r\nContent-Length: 5"),
        "same-length-twice": _post(b"Content-Length: 2\r\nContent-Length: 2", b"{}"),
        "list-of-lengths": _post(b"Content-Length: 0, 5"),
        "list-of-the-same": _post(b"Content-Length: 2, 2", b"{}"),
        "length-plus": _post(b"Content-Length: +0"),
        "length-minus": _post(b"Content-Length: -1"),
        "length-hex": _post(b"Content-Length: 0x0"),
        "length-underscore": _post(b"Content-Length: 0_0"),
        "length-point": _post(b"Content-Length: 0.0"),
        "length-exponent": _post(b"Content-Length: 0e1"),
        "length-spaces": _post(b"Content-Length: 1 2"),
        "length-empty": _post(b"Content-Length:"),
        "length-quoted": _post(b'Content-Length: "0"'),
        "length-comma": _post(b"Content-Length: 0,"),
        "length-other-digits": _post(b"Content-Length: \xd9\xa0"),
        "length-of-40-digits": _post(b"Content-Length: " + b"1" * 40),
        "length-of-64-bits": _post(b"Content-Length: 18446744073709551616"),
        "length-zero-padded": _post(b"Content-Length: " + b"0" * 30 + b"2", b"{}"),
    },
    "RFC 9112 7.1, chunks": {
        "chunk-hex": CHUNKED + b"0x1\r\n1\r\n0\r\n\r\n",
        "chunk-minus": CHUNKED + b"-1\r\n1\r\n0\r\n\r\n",
        "chunk-plus": CHUNKED + b"+1\r\n1\r\n0\r\n\r\n",
        "chunk-not-hex": CHUNKED + b"g\r\n1\r\n0\r\n\r\n",
        "chunk-empty-line": CHUNKED + b"\r\n1\r\n1\r\n0\r\n\r\n",
        "chunk-space-first": CHUNKED + b" 1\r\n1\r\n0\r\n\r\n",
        "chunk-space-after": CHUNKED + b"1 \r\n1\r\n0\r\n\r\n",
        "chunk-longer": CHUNKED + b"1\r\n12\r\n0\r\n\r\n",
        "chunk-shorter": CHUNKED + b"3\r\n1\r\n0\r\n\r\n",
        "chunk-lf": CHUNKED + b"1\n1\n0\n\n\r\n",
        "chunk-lf-after-size": CHUNKED + b"1\n1\r\n0\r\n\r\n",
        "chunk-lf-after-data": CHUNKED + b"1\r\n1\n0\r\n\r\n",
        "chunk-cr-after-data": CHUNKED + b"1\r\n1\r0\r\n\r\n",
        "chunk-nothing-after-data": CHUNKED + b"1\r\n10\r\n\r\n",
        "chunk-cr-after-size": CHUNKED + b"1\r1\r\n0\r\n\r\n",
        "chunk-of-68-bits": CHUNKED + b"F" * 17 + b"\r\n1\r\n0\r\n\r\n",
        "chunk-of-64-bits": CHUNKED + b"8" + b"0" * 15 + b"\r\n",
        "chunk-above-2**60": CHUNKED + b"1000000000000001\r\n",
        "chunk-of-40-digits": CHUNKED + b"0" * 40 + b"1\r\n1\r\n0\r\n\r\n",
        "last-chunk-lf": CHUNKED + b"0\n\r\n",
        "last-chunk-lf-at-the-end": CHUNKED + b"0\r\n\n",
        "last-chunk-longer": CHUNKED + b"0\r\nx\r\n\r\n",
    },
    "Funky chunks, extensions (TERM.EXT, EXT.TERM)": {
        "extension-lf": CHUNKED + b"1;a\nb\r\n1\r\n0\r\n\r\n",
        "extension-lf-only": CHUNKED + b"1;\n1\r\n0\r\n\r\n",
        "extension-cr": CHUNKED + b"1;a\rb\r\n1\r\n0\r\n\r\n",
        "extension-cr-quoted": CHUNKED + b'1;a="\r"\r\n1\r\n0\r\n\r\n',
        "extension-lf-quoted": CHUNKED + b'1;a="\n"\r\n1\r\n0\r\n\r\n',
        "extension-nul": CHUNKED + b"1;\x00\r\n1\r\n0\r\n\r\n",
        "extension-without-name": CHUNKED + b"1;\r\n1\r\n0\r\n\r\n",
        "extension-after-space": CHUNKED + b"1 ;a\r\n1\r\n0\r\n\r\n",
        "extension-of-latin": CHUNKED + b"1;\xe9\r\n1\r\n0\r\n\r\n",
        "extension-unclosed": CHUNKED + b'1;a="b\r\n1\r\n0\r\n\r\n',
    },
    "RFC 9112 7.1.2, trailers": {
        "trailer-lf": CHUNKED + b"0\r\nX: y\n\r\n",
        "trailer-lf-at-the-end": CHUNKED + b"0\r\nX: y\r\n\n",
        "trailer-cr": CHUNKED + b"0\r\nX: y\rZ: z\r\n\r\n",
        "trailer-folded": CHUNKED + b"0\r\nX: y\r\n z\r\n\r\n",
        "trailer-no-colon": CHUNKED + b"0\r\nX y\r\n\r\n",
        "trailer-space-before-colon": CHUNKED + b"0\r\nX : y\r\n\r\n",
        "trailer-nul": CHUNKED + b"0\r\nX: \x00\r\n\r\n",
        "trailer-coding": CHUNKED + b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "trailer-length": CHUNKED + b"0\r\nContent-Length: 50\r\n\r\n",
        "trailer-two-lengths": CHUNKED + b"0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "trailer-is-a-request": CHUNKED + b"0\r\n" + _get(b"/"),
    },
}

# Each is read, and the hidden request behind it is a request of its own or part of its body.
READ: Final[dict[str, dict[str, bytes]]] = {
    "RFC 9112 2.3, versions": {
        "version-1.0": b"GET / HTTP/1.0\r\n\r\n",
        "version-1.0-keep-alive": b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "version-1.0-expect": b"POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n",
        "version-1.2": _get(b"/", b"HTTP/1.2"),
        "version-1.2-chunked": CHUNKED.replace(b"1.1", b"1.2", 1) + b"2\r\n{}\r\n0\r\n\r\n",
    },
    "RFC 9110 9.1, methods": {
        "unknown-method": _get(b"/").replace(b"GET", b"BREW"),
        "unknown-method-with-body": _post(b"Content-Length: 2", b"{}").replace(b"POST", b"p!#$~"),
        "method-of-another-protocol": _get(b"/").replace(b"GET", b"DESCRIBE"),
        "method-lower-case": _get(b"/").replace(b"GET", b"get"),
        "method-of-http-2": _get(b"/").replace(b"GET", b"PRI"),
        "connect-to-a-path": _post(b"Content-Length: 2", b"{}").replace(b"POST", b"CONNECT"),
        "head-with-body": _post(b"Content-Length: 2", b"{}").replace(b"POST", b"HEAD"),
    },
    "RFC 9112 3.2, targets": {
        "absolute": _get(b"http://127.0.0.1/a?b"),
        "absolute-other-host": _get(b"HTTPS://b.example:80?x"),
        "absolute-bare": _get(b"http://[::1]"),
        "asterisk": _get(b"*").replace(b"GET", b"OPTIONS"),
        "fragment": _get(b"/a#b?c"),
        "odd-characters": _get(b"//a/../%2e%00\\^`{|}\"<>?'?#"),
    },
    "RFC 9112 5, fields": {
        "empty-value": _post(b"X:\r\nY: \t \r\nZ:z"),
        "spaces-around": _post(b"X: \t a b\t "),
        "latin-value": _post(b"X: \x80\xe9\xff"),
        "odd-name": _post(b"!#$%&'*+-.^_`|~0Z: x"),
        "colons": _post(b"X::: y:"),
        "many": _post(b"\r\n".join(b"X-%d: y" % number for number in range(90))),
    },
    "RFC 9112 6 and 7, bodies": {
        "length": _post(b"Content-Length: 2", b"{}"),
        "length-0": _post(b"Content-Length: 0"),
        "length-zeros": _post(b"Content-Length: 002 ", b"{}"),
        "length-of-a-get": _get(b"/").replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n")
        + b"{}",
        "longer-than-declared": _post(b"Content-Length: 1", b"{"),
        "swallows-the-next": _post(b"Content-Length: 20"),
        "swallows-all": _post(b"Content-Length: 1000"),
        "swallows-for-ever": _post(b"Content-Length: 18446744073709551615"),
        "chunks": CHUNKED + b'1\r\n{\r\n0a;x="y z";a\r\n012345678}\r\n0\r\n\r\n',
        "chunks-of-requests": CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN),
        "chunked-in-capitals": CHUNKED.replace(b"chunked", b"CHUNKED") + b"2\r\n{}\r\n000\r\n\r\n",
        "chunk-of-2**60": CHUNKED + b"1000000000000000\r\n",
        "chunk-incomplete": CHUNKED + b"ffff\r\n",
        "trailers": CHUNKED + b"2\r\n{}\r\n0;x\r\nHost: x\r\nAuthorization: y\r\nZ:\r\n\r\n",
        "chunked-get": CHUNKED.replace(b"POST", b"GET") + b"2\r\n{}\r\n0\r\n\r\n",
    },
    "RFC 9112 9, connections": {
        "pipelined": _get(b"/1") + _post(b"Content-Length: 2", b"{}") + _get(b"/2"),
        "half-a-head-behind": _get(b"/1") + _get(b"/2")[:-4] + b"\r\nX: ",
        "close": _post(b"Connection: x, Close") + _get(b"/2"),
        "close-with-body": _post(b"Connection: close\r\nContent-Length: 2", b"{}") + _get(b"/2"),
        "close-and-keep-alive": _post(b"Connection: close\r\nConnection: keep-alive"),
        "refused-behind": _get(b"/1") + _get(b"/ x") + _get(b"/2"),
        "names-of-headers": _post(b"Connection: Host, Content-Length\r\nContent-Length: 2", b"{}"),
    },
    "RFC 9110 7.8 and 10.1.1, Upgrade and Expect": {
        "websocket": _post(b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x"),
        "h2c": _post(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "),
        "h2c-with-body": _post(
            b"Connection: upgrade\r\nupgrade: h2c\r\nContent-Length: 2\r\nX-Upgrade: y", b"{}"
        ),
        "h2c-with-chunks": _post(
            b"Upgrade: a\r\nTransfer-Encoding: chunked\r\nConnection: upgrade\r\nUPGRADE: b",
            b"2\r\n{}\r\n0\r\n\r\n",
        ),
        "upgrade-of-1.0": b"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "expect": _post(b"Expect: 100-continue\r\nContent-Length: 2", b"{}"),
        "expect-in-a-list": _post(b"Expect: x, 100-Continue\r\nContent-Length: 2", b"{}"),
        "expect-of-a-get": _get(b"/").replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"),
        "expect-obscured": _post(b"Expect: y 100-continue\r\nContent-Length: 2", b"{}"),
        "expect-with-chunks": _post(
            b"Expect: 100-continue\r\nTransfer-Encoding: chunked", b"2\r\n{}\r\n0\r\n\r\n"
        ),
    },
}
