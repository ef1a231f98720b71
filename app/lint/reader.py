"""Have structure read in a process of its own, which is ended when it takes too long."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from app.fair_queue import FairQueue
from app.lint.findings import Reading
from app.lint.worker import LENGTH

_ROOT: Final = Path(__file__).resolve().parents[2]
# -I: nothing of the environment and the current folder; so the root is given.
_BOOT: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from app.lint.worker import main; main()"
)
# The process's own limit is on its CPU time; this one is for a host that is busy.
DEADLINE_S: Final = 20.0
_MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024


class SourceReader:
    """Reads one source at a time; made by `open_reader`."""

    def __init__(self, *, max_waiting: int, max_waiting_of_tenant: int, deadline_s: float) -> None:
        """Start nothing yet: the first source starts the process."""
        self._deadline_s = deadline_s
        self._turns = FairQueue(
            max_waiting=max_waiting, max_waiting_of_tenant=max_waiting_of_tenant
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    async def read(self, source: bytes, *, tenant: UUID, weight: int) -> Reading | None:
        """Give what the linter finds, in the tenant's turn; None where that took too long.

        Raises TenantQueueFull, FairQueueFull.
        """
        async with self._turns.turn(tenant, weight=weight):
            # Nothing needs no process; and it is how the end of the input looks.
            return await self._read(source or b"\n")

    async def close(self) -> None:
        """End the process."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            self._process = None

    async def _read(self, source: bytes) -> Reading | None:
        # One more try: a process that ended on its own between two sources.
        for attempt in range(2):
            fresh = self._process is None
            try:
                async with asyncio.timeout(self._deadline_s):
                    return await self._ask(source)
            except TimeoutError:
                await self.close()
                return None
            except (ConnectionError, EOFError):
                await self.close()
                if fresh or attempt:
                    return None
            except BaseException:
                # Its next answer would be to a question that nobody asks any more.
                await self.close()
                raise
        return None

    async def _ask(self, source: bytes) -> Reading:
        channel = self._connect()
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(channel, LENGTH.pack(len(source)) + source)
        (length,) = LENGTH.unpack(await _receive(channel, LENGTH.size))
        if length > _MAX_ANSWER_BYTES:
            raise EOFError
        return msgspec.json.decode(await _receive(channel, length), type=Reading)

    def _connect(self) -> socket.socket:
        if self._channel is not None:
            return self._channel
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)  # noqa: FBT003 - the socket's own signature
            self._process = subprocess.Popen(  # noqa: S603 - fixed argv
                [sys.executable, "-I", "-c", _BOOT, str(_ROOT)],
                env={},
                cwd="/",
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the service to handle
            )
        self._channel = ours
        return ours


@asynccontextmanager
async def open_reader(
    *,
    max_waiting: int = 128,
    max_waiting_of_tenant: int = 16,
    deadline_s: float = DEADLINE_S,
) -> AsyncIterator[SourceReader]:
    """Make a reader; its process ends with the context, and when this process does."""
    reader = SourceReader(
        max_waiting=max_waiting,
        max_waiting_of_tenant=max_waiting_of_tenant,
        deadline_s=deadline_s,
    )
    try:
        yield reader
    finally:
        await reader.close()


async def _receive(channel: socket.socket, count: int) -> bytes:
    loop = asyncio.get_running_loop()
    parts = bytearray()
    while len(parts) < count:
        part = await loop.sock_recv(channel, min(count - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
