"""A cell is used again if it says so, together with its verdict or later."""

import asyncio
import select
import socket

import pytest

from app.sandbox import zygote_client
from app.sandbox.cell_pool import PoolConfig
from app.sandbox.feeder import Feeder
from app.sandbox.frame_buffer import FrameBuffer
from app.sandbox.frames import poll_again, receive_again
from app.sandbox.pool import open_pool
from app.sandbox.protocol import HEADER, Isolation, Kind
from tests.support.sandbox_runs import job
from tests.support.stand_in_cell import open_cell

AGAIN = HEADER.pack(Kind.AGAIN, 0)
VERDICT = HEADER.pack(Kind.VERDICT, 2) + b"{}"


@pytest.mark.parametrize(
    ("sent", "again"),
    [
        pytest.param(b"", None, id="nothing yet"),
        pytest.param(AGAIN[:3], None, id="not all yet"),
        pytest.param(AGAIN, True, id="again"),
        pytest.param(VERDICT, False, id="another verdict"),
        pytest.param(b"\xff" * HEADER.size, False, id="no frame"),
    ],
)
async def test_what_arrived_with_the_verdict_decides(sent: bytes, again: bool | None) -> None:  # noqa: FBT001 - a parameter of the test
    async with open_cell() as (cell, channel):
        channel.sendall(VERDICT + sent)
        assert await cell.receive() == (Kind.VERDICT, b"{}")
        assert poll_again(cell) is again


@pytest.mark.parametrize(("sent", "again"), [(AGAIN, True), (VERDICT, False)])
async def test_what_arrives_later_decides(sent: bytes, again: bool) -> None:  # noqa: FBT001 - a parameter of the test
    async with open_cell() as (cell, channel):
        waiting = asyncio.create_task(receive_again(cell))
        await asyncio.sleep(0)
        channel.sendall(sent)
        assert await waiting is again


async def test_a_cell_that_says_more_than_again_is_not_silent() -> None:
    async with open_cell() as (cell, channel):
        channel.sendall(VERDICT + AGAIN + AGAIN[:1])
        assert await cell.receive() == (Kind.VERDICT, b"{}")
        assert poll_again(cell)
        assert not cell.is_silent()


async def test_a_context_is_gone_when_its_run_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def new_packet_channel() -> tuple[socket.socket, socket.socket]:
        """Make a channel that keeps the limits of messages."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)  # noqa: FBT003 - the socket's own signature
        return ours, theirs

    monkeypatch.setattr(zygote_client, "new_channel", new_packet_channel)
    async with open_pool(PoolConfig(cells=1, warm=1)) as pool:
        if pool.isolation is not Isolation.CONTEXT:
            pytest.skip("no contexts on this machine")
        cell = (await pool._cells.take("tenant")).cell
        source = job("const process = d => d")
        Feeder(cell, source, mode="run", payload=b"1").begin()
        message = await asyncio.to_thread(receive, cell._channel)
        cell.close()
    kinds = []
    buffer = FrameBuffer()
    buffer.append(message)
    while (frame := buffer.take()) is not None:
        kinds.append(frame[0])
    assert kinds == [Kind.RESULT, Kind.OUTPUT, Kind.VERDICT, Kind.AGAIN]


def receive(channel: socket.socket) -> bytes:
    select.select([channel], [], [])
    return channel.recv(65_536)
