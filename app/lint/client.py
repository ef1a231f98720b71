"""Lint sources in a process of its own, which is killed if it takes too long."""

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
from app.lint.diagnostics import LintReport
from app.lint.worker import LENGTH

_ROOT: Final = Path(__file__).resolve().parents[2]
# -I ignores the environment and the current folder, so the root is an argument.
_BOOT: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from app.lint.worker import main; main()"
)
# The process limits its own CPU time; this deadline is for a busy host.
DEADLINE_S: Final = 20.0
_MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024


class LintClient:
    """Sends one source at a time to the lint process; made by `open_lint_client`."""

    def __init__(self, *, max_waiting: int, max_waiting_of_tenant: int, deadline_s: float) -> None:
        """Take the limits; the first source starts the process."""
        self._deadline_s = deadline_s
        self._turns = FairQueue(
            max_waiting=max_waiting, max_waiting_of_tenant=max_waiting_of_tenant
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    async def lint(self, source: bytes, *, tenant: UUID, weight: int) -> LintReport | None:
        """Lint a source in the tenant's turn; return None if that took too long.

        Raises TenantQueueFull, FairQueueFull.
        """
        async with self._turns.turn(tenant, weight=weight):
            # An empty message would look like the end of the input.
            return await self._lint(source or b"\n")

    async def close(self) -> None:
        """End the process."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            self._process = None

    async def _lint(self, source: bytes) -> LintReport | None:
        # Retried once, if the process has ended on its own between two sources.
        for attempt in range(2):
            is_fresh = self._process is None
            try:
                async with asyncio.timeout(self._deadline_s):
                    return await self._exchange(source)
            except TimeoutError:
                await self.close()
                return None
            except (ConnectionError, EOFError):
                await self.close()
                if is_fresh or attempt:
                    return None
            except BaseException:
                # Its next reply would belong to this source, not to the next one.
                await self.close()
                raise
        return None

    async def _exchange(self, source: bytes) -> LintReport:
        channel = self._connect()
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(channel, LENGTH.pack(len(source)) + source)
        (length,) = LENGTH.unpack(await _receive(channel, LENGTH.size))
        if length > _MAX_ANSWER_BYTES:
            raise EOFError
        return msgspec.json.decode(await _receive(channel, length), type=LintReport)

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
async def open_lint_client(
    *,
    max_waiting: int = 128,
    max_waiting_of_tenant: int = 16,
    deadline_s: float = DEADLINE_S,
) -> AsyncIterator[LintClient]:
    """Open a client; its process ends with the context, or with this process."""
    client = LintClient(
        max_waiting=max_waiting,
        max_waiting_of_tenant=max_waiting_of_tenant,
        deadline_s=deadline_s,
    )
    try:
        yield client
    finally:
        await client.close()


async def _receive(channel: socket.socket, count: int) -> bytes:
    loop = asyncio.get_running_loop()
    parts = bytearray()
    while len(parts) < count:
        part = await loop.sock_recv(channel, min(count - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
