"""Requests are read as the reference on h11 reads them, or refused."""

import asyncio
from typing import Final

import pytest
from hypothesis import given, settings, strategies as st

from app.http.framing import Framing
from app.http.slow_clients import slow_client_protocol
from tests.support.framing_corpus import HIDDEN, READ, REFUSED
from tests.support.h11_reference import ReferenceProtocol
from tests.support.http_observer import Observation, Seen, observe

Protocol: Final = slow_client_protocol(client_seconds=60, max_connections=100)

# What the reference reads, and Crivo refuses: each is stricter, none is more lenient.
STRICTER: Final = {
    "value-with-control": "a control character is not part of a value (RFC 9110, 5.5)",
    "value-with-del": "a control character is not part of a value (RFC 9110, 5.5)",
    "coding-tab-after": "llhttp takes no tab behind a coding; nobody sends one",
    "same-length-twice": "a server may refuse it (RFC 9110, 8.6), and llhttp does",
    "list-of-the-same": "a server may refuse it (RFC 9110, 8.6), and llhttp does",
    "length-of-64-bits": "a reader with 64-bit numbers sees another length",
    "chunk-space-after": "the grammar has no space behind a size (RFC 9112, 7.1)",
    "chunk-above-2**60": "h11 reads it if data arrives with its line",
    "last-chunk-lf-at-the-end": "h11 has no public way to see line ends of trailers",
    "extension-cr": "h11 has no public way to see extensions",
    "extension-cr-quoted": "h11 has no public way to see extensions",
    "extension-nul": "h11 has no public way to see extensions",
    "extension-without-name": "an extension has a name (RFC 9112, 7.1.1)",
    "extension-of-latin": "the name of an extension is a token (RFC 9112, 7.1.1)",
    "extension-unclosed": "a quoted string has an end (RFC 9112, 7.1.1)",
    "trailer-lf": "h11 has no public way to see line ends of trailers",
    "trailer-lf-at-the-end": "h11 has no public way to see line ends of trailers",
    "trailer-folded": "h11 has no public way to see line ends of trailers",
    "trailer-coding": "a reader that merges trailers sees another framing (RFC 9110, 6.5.1)",
    "trailer-length": "a reader that merges trailers sees another framing (RFC 9110, 6.5.1)",
}
_REFUSED: Final = {name: sent for cases in REFUSED.values() for name, sent in cases.items()}
_READ: Final = {name: sent for cases in READ.values() for name, sent in cases.items()}
# Bytes that readers treat differently.
_ODD: Final = st.sampled_from(
    [bytes([each]) for each in b"\r\n\t\v\f\x00 ,:;+-_0159afx\x7f\x85\xa0"]
)


def _bytes_of(sent: bytes) -> list[bytes]:
    return [bytes([each]) for each in sent]


def _requests(observation: Observation) -> list[Seen]:
    """Return what both servers should pass to the application.

    Crivo drops Upgrade, as no other protocol is offered, and h11 writes codings in lower case.
    """
    return [
        Seen(each.method, each.target, _headers(each), each.body, each.complete)
        for each in observation.requests
    ]


def _headers(seen: Seen) -> list[tuple[bytes, bytes]]:
    return [
        (name, value.lower() if name == b"transfer-encoding" else value)
        for name, value in seen.headers
        if name != b"upgrade"
    ]


@pytest.mark.parametrize("name", _REFUSED)
async def test_what_readers_may_frame_differently_is_refused(name: str) -> None:
    sent = _REFUSED[name] + HIDDEN

    for pieces in ([sent], _bytes_of(sent)):
        observed = await observe(Protocol, pieces)

        assert (observed.statuses, observed.closed) == ([400], True)
        assert not any(each.complete for each in observed.requests)
    reference = await observe(ReferenceProtocol, [sent])
    assert reference.refused == (name not in STRICTER)


@pytest.mark.parametrize("name", _READ)
async def test_what_is_read_is_read_as_the_reference_reads_it(name: str) -> None:
    sent = _READ[name] + HIDDEN

    whole = await observe(Protocol, [sent])
    cut = await observe(Protocol, _bytes_of(sent))
    expected = await observe(ReferenceProtocol, [sent])

    assert whole == cut
    assert whole.requests
    assert _requests(whole) == _requests(expected)
    assert (whole.statuses, whole.closed) == (expected.statuses, expected.closed)


@settings(max_examples=200)
@given(
    base=st.sampled_from([*_READ.values(), *_REFUSED.values()]),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 2), _ODD | st.binary()), max_size=4),
    split=st.floats(0, 1),
)
def test_nothing_is_read_that_the_reference_refuses_or_reads_differently(
    base: bytes, changes: list[tuple[float, int, bytes]], split: float
) -> None:
    sent = base
    for share, removed, inserted in changes:
        place = int(share * len(sent))
        sent = sent[:place] + inserted + sent[place + removed :]
    sent += HIDDEN
    place = int(split * len(sent))
    pieces = [piece for piece in (sent[:place], sent[place:]) if piece]

    observed = asyncio.run(observe(Protocol, pieces))
    expected = asyncio.run(observe(ReferenceProtocol, pieces))

    if not observed.refused:
        assert _requests(observed) == _requests(expected)
        assert (observed.statuses, observed.closed) == (expected.statuses, expected.closed)
        return
    complete = [each for each in _requests(observed) if each.complete]
    assert complete == _requests(expected)[: len(complete)]


async def test_trailers_and_pipelined_requests_do_not_change_headers() -> None:
    """Each request has the headers of its own head."""
    observed = await observe(Protocol, [_READ["trailers"] + _READ["pipelined"] + HIDDEN])

    names = [[name for name, _ in each.headers] for each in observed.requests]
    assert names[0] == [b"host", b"content-type", b"transfer-encoding"]
    assert names[1:] == [
        [b"host"],
        [b"host", b"content-type", b"content-length"],
        [b"host"],
        [b"host", b"connection"],
    ]


async def test_bytes_with_which_no_request_begins_are_refused_at_once() -> None:
    for start in (b"\x16\x03\x01", b"\r", b" ", b"\x00"):
        observed = await observe(Protocol, [start])

        assert (observed.statuses, observed.closed) == ([400], True)


@pytest.mark.parametrize("length", [0, 1, 3, None])
async def test_a_request_that_llhttp_frames_differently_is_refused(
    monkeypatch: pytest.MonkeyPatch, length: int | None
) -> None:
    wrong = Framing(length=length, keeps_alive=True, awaits_continue=False)
    monkeypatch.setattr("app.http.http1.framing_of", lambda *_: wrong)

    observed = await observe(Protocol, [_READ["length"] + HIDDEN])

    assert (observed.statuses, observed.closed) == ([400], True)
    assert not any(each.complete for each in observed.requests)


@pytest.mark.parametrize("reads", [True, False], ids=["read", "unread"])
async def test_only_a_connection_between_requests_is_idle(*, reads: bool) -> None:
    for sent in (_READ["unknown-method"], _READ["length"], _READ["chunks"]):
        for pieces in ([sent], _bytes_of(sent)):
            between = await observe(Protocol, pieces, reads=reads)
            begun = await observe(Protocol, [*pieces, b"G"], reads=reads)

            assert (between.statuses, between.closed, between.idle) == ([303], False, True)
            assert (begun.statuses, begun.closed, begun.idle) == ([303], False, False)
        begun = await observe(Protocol, [sent + b"G"], reads=reads)

        assert (begun.statuses, begun.closed, begun.idle) == ([303], False, False)
