"""A small job is sent at once; a source that the cell has is not sent again."""

import asyncio
import socket

import pytest

from app.sandbox.cell_process import Cell
from app.sandbox.feeder import Feeder
from app.sandbox.protocol import FrameReader, Kind, decode_job
from tests.support.sandbox_runs import chunks_of, job
from tests.support.stand_in_cell import open_cell

SMALL, LONG = b"1" * 100, b"1" * 3_000_000


def read_job(channel: socket.socket) -> tuple[list[Kind], bytes, int]:
    """Read one job: the kinds of its frames, its payload, the time at which it was sent."""
    reader = FrameReader(channel)
    kinds, payload, sent_ns = [], b"", 0
    while Kind.END not in kinds:
        kind, body = reader.read()
        kinds.append(kind)
        if kind is Kind.JOB:
            sent_ns = decode_job(body).sent_ns
        if kind is Kind.INPUT:
            payload += bytes(body)
    return kinds, payload, sent_ns


async def send(
    cell: Cell, channel: socket.socket, source: str, payload: bytes, *, in_memory: bool
) -> list[Kind]:
    given = payload if in_memory else chunks_of(payload)
    feeder = Feeder(cell, job(source), mode="run", payload=given)
    reading = asyncio.create_task(asyncio.to_thread(read_job, channel))
    feeder.begin()
    assert feeder.prompt == (in_memory and payload is SMALL)
    ended = []
    if not feeder.done:
        await feeder.finish(before_end=lambda: ended.append(True))
    kinds, sent, sent_ns = await reading
    assert sent == payload
    assert feeder.payload_bytes == len(payload)
    # The start of any other job is reported.
    assert bool(sent_ns) == feeder.prompt == (not ended)
    return kinds


@pytest.mark.parametrize(
    "payload", [pytest.param(SMALL, id="small"), pytest.param(LONG, id="long")]
)
@pytest.mark.parametrize("in_memory", [True, False])
async def test_a_source_is_sent_when_it_changes(payload: bytes, *, in_memory: bool) -> None:
    async with open_cell() as (cell, channel):
        kinds = [
            await send(cell, channel, source, payload, in_memory=in_memory)
            for source in ("a", "a", "b", "a")
        ]
    assert [Kind.SOURCE in each for each in kinds] == [True, False, True, True]
    assert [kind for kind in kinds[0] if kind is not Kind.INPUT] == [
        Kind.JOB,
        Kind.SOURCE,
        Kind.CONTEXT,
        Kind.END,
    ]


async def test_a_small_job_is_in_the_channel_at_once() -> None:
    async with open_cell() as (cell, channel):
        feeder = Feeder(cell, job("a"), mode="run", payload=SMALL)
        feeder.begin()
        assert feeder.done
        channel.setblocking(False)  # noqa: FBT003 - the socket's own signature
        assert Kind.END in read_job(channel)[0]
