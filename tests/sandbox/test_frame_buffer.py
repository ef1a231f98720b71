"""Frames are found in a stream however it is cut."""

import random
import tracemalloc

import pytest

from app.sandbox.frame_buffer import FrameBuffer
from app.sandbox.protocol import CHUNK_BYTES, HEADER, Kind, ProtocolError

FRAMES = [
    (Kind.STARTED, b""),
    (Kind.LOG, b"x" * 70_000),
    (Kind.OUTPUT, bytes(range(256)) * 4_096),
    (Kind.OUTPUT, b"1"),
    (Kind.VERDICT, b"{}"),
    (Kind.AGAIN, b""),
]
STREAM = b"".join(HEADER.pack(kind, len(body)) + body for kind, body in FRAMES)


@pytest.mark.parametrize("seed", range(20))
def test_frames_are_complete_and_in_order(seed: int) -> None:
    source = random.Random(seed)  # noqa: S311 - not a secret
    buffer, found, at = FrameBuffer(), [], 0
    while at < len(STREAM):
        size = min(source.choice([1, 4, 5, 6, 1_000, 65_536, CHUNK_BYTES]), buffer.wanted_bytes)
        buffer.append(STREAM[at : at + size])
        at += size
        while (frame := buffer.take()) is not None:
            found.append(frame)
    assert found == FRAMES
    assert buffer.is_empty


def test_a_frame_that_has_begun_is_not_nothing() -> None:
    buffer = FrameBuffer()
    buffer.append(HEADER.pack(Kind.LOG, 10))
    assert buffer.take() is None
    assert not buffer.is_empty


def test_a_large_body_is_wanted_to_its_end() -> None:
    buffer = FrameBuffer()
    buffer.append(HEADER.pack(Kind.OUTPUT, CHUNK_BYTES) + b"1")
    assert buffer.take() is None
    assert buffer.wanted_bytes == CHUNK_BYTES - 1


def test_a_header_over_its_cap_is_refused_before_its_body() -> None:
    buffer = FrameBuffer()
    buffer.append(HEADER.pack(Kind.OUTPUT, CHUNK_BYTES + 1))
    with pytest.raises(ProtocolError):
        buffer.take()


def test_single_bytes_take_little_more_than_their_size() -> None:
    buffer = FrameBuffer()
    buffer.append(HEADER.pack(Kind.OUTPUT, 100_000))
    assert buffer.take() is None
    tracemalloc.start()
    for _ in range(99_999):
        # An object of its own, as each that a socket returns.
        buffer.append(bytes(bytearray(b"x")))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    buffer.append(b"x")
    assert used < 400_000
    assert buffer.take() == (Kind.OUTPUT, b"x" * 100_000)
