"""A job is received as V8 stores it, however its payload is cut into pieces."""

import socket

import pytest

from app.sandbox.job_reader import JobReader, NotUtf8, PayloadText
from app.sandbox.protocol import (
    RUN,
    VERSION,
    Frame,
    FrameReader,
    JobHeader,
    Kind,
    ProtocolError,
    encode_job,
    send_frames,
)

CONTEXT = b'{"seed":1}'
JOB: Frame = (
    Kind.JOB,
    encode_job(
        JobHeader(
            version=VERSION,
            mode=RUN,
            seed=2**53 - 1,
            clock_ms=-1,
            wall_ms=1_000,
            memory_bytes=2**32,
            output_bytes=1,
            console_lines=1,
            console_bytes=1,
            console_line_bytes=1,
            sent_ns=0,
        )
    ),
)
LATIN1 = ["", "plain", "café", "ÿ\x80\x00"]
OTHERS = ["€", "café €", "plain, then 😀", "😀 ÿ plain", "\u0100ÿ\uffff"]


def text_of(payload: bytes, *, step: int, latin1: bool = True) -> PayloadText:
    text = PayloadText(CONTEXT, latin1=latin1)
    for start in range(0, len(payload), step):
        text.append(payload[start : start + step])
    text.append(b"", final=True)
    return text


@pytest.mark.parametrize("step", [1, 2, 3, 5, 1_000])
@pytest.mark.parametrize("payload", LATIN1)
def test_latin1_stays_latin1(payload: str, step: int) -> None:
    text = text_of(payload.encode(), step=step)
    assert text.latin1
    assert text.encoded.decode("latin-1") == CONTEXT.decode() + payload
    assert text.payload_bytes == len(payload.encode())
    assert text.context_units == len(CONTEXT)


@pytest.mark.parametrize("step", [1, 2, 3, 5, 1_000])
@pytest.mark.parametrize("payload", OTHERS)
def test_any_other_text_is_utf8(payload: str, step: int) -> None:
    text = text_of(payload.encode(), step=step)
    assert not text.latin1
    assert text.encoded == CONTEXT + payload.encode()
    assert text.payload_bytes == len(payload.encode())


@pytest.mark.parametrize("payload", [*LATIN1, *OTHERS])
def test_a_library_that_takes_utf8_only_gets_it(payload: str) -> None:
    text = text_of(payload.encode(), step=3, latin1=False)
    assert not text.latin1
    assert text.encoded == CONTEXT + payload.encode()


@pytest.mark.parametrize("step", [1, 2, 3, 5, 1_000])
@pytest.mark.parametrize("latin1", [True, False])
@pytest.mark.parametrize(
    "payload",
    [
        *(b"\xff", b"plain\xc3", b"caf\xc3\xa9\x80", b"\xe2\x82", b"\xe2\x82\xac\xed\xa0\x80"),
        *(b"\xf0\x9f\x98\x80\xf0\x9f\x98", b"\xc3\xa9\xc0\x80", b"x" * 999 + b"\xc3\xa9\xfe"),
    ],
)
def test_the_first_byte_that_is_not_utf8_is_found(
    payload: bytes, *, latin1: bool, step: int
) -> None:
    with pytest.raises(UnicodeDecodeError) as expected:
        payload.decode()
    with pytest.raises(NotUtf8) as found:
        text_of(payload, step=step, latin1=latin1)
    assert found.value.byte_offset == expected.value.start


def received(*jobs: list[Frame]) -> list[tuple[bytes, bytearray]]:
    """Receive jobs; return each with its source."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader = JobReader(FrameReader(ours))
        found = []
        for frames in jobs:
            send_frames(theirs, frames)
            _, text = reader.receive(latin1=True)
            found.append((reader.code, text.encoded))
        return found


def test_a_source_that_is_not_sent_is_the_last_one() -> None:
    rest: list[Frame] = [(Kind.CONTEXT, b""), (Kind.INPUT, b"1"), (Kind.END, b"")]
    first, again, other = received(
        [JOB, (Kind.SOURCE, b"\xef\xbb\xbfone"), *rest],
        [JOB, *rest],
        [JOB, (Kind.SOURCE, b"two"), *rest],
    )
    assert again == first
    assert first[0].startswith(b"one\n")
    assert other[0].startswith(b"two\n")


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([JOB, (Kind.CONTEXT, b"")], id="no source at all"),
        pytest.param([(Kind.JOB, b"")], id="a short header"),
        pytest.param([(Kind.JOB, b"\x01" + JOB[1][1:])], id="another version"),
        pytest.param([JOB, (Kind.SOURCE, b"x"), (Kind.SOURCE, b"x")], id="two sources"),
        pytest.param(
            [JOB, (Kind.SOURCE, b"x"), (Kind.CONTEXT, b""), (Kind.SOURCE, b"x")],
            id="a source within the payload",
        ),
    ],
)
def test_a_job_in_another_form_is_refused(frames: list[Frame]) -> None:
    with pytest.raises(ProtocolError):
        received(frames)
