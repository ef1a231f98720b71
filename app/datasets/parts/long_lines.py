"""Bound the memory of long lines that are arriving in all uploads of a process.

An upload keeps a line until its end has arrived: up to 16 MiB that cost a client nothing, as zeros
compress well. So a few uploads at a time have a long line; the others wait for theirs, and one that
takes its time is aborted as soon as others wait.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakKeyDictionary

from app.datasets.parts.model import LineTooSlow
from app.limits import KIB

# Shorter lines wait in every upload.
LONG_LINE_BYTES: Final = 256 * KIB
# Uploads that have a long line at a time.
MAX_LONG_LINES: Final = 4
# Once others wait.
LINE_SECONDS: Final = 60.0


class LongLine:
    """The long line of an upload, if it has one."""

    def __init__(self, turns: "_Turns", limit: asyncio.Timeout) -> None:
        """Begin without one; `limit` ends the upload."""
        self._turns = turns
        self._limit = limit
        self._is_long = False

    async def note(self, waiting_bytes: int) -> None:
        """Note how much of a line has arrived, and wait for a turn if that is much."""
        if waiting_bytes <= LONG_LINE_BYTES:
            self.end()
        elif not self._is_long:
            await self._turns.begin(self._limit)
            self._is_long = True

    def end(self) -> None:
        """Let another upload have its turn."""
        if self._is_long:
            self._is_long = False
            self._turns.end(self._limit)


@asynccontextmanager
async def taking_turns() -> AsyncIterator[LongLine]:
    """Take part in the turns of the process. Raises LineTooSlow."""
    turns = _turns_of.setdefault(asyncio.get_running_loop(), _Turns())
    limit = asyncio.timeout(None)
    try:
        async with limit:
            line = LongLine(turns, limit)
            try:
                yield line
            finally:
                line.end()
    except TimeoutError:
        if limit.expired():
            raise LineTooSlow(LINE_SECONDS) from None
        raise


class _Turns:
    def __init__(self) -> None:
        self._free = asyncio.Semaphore(MAX_LONG_LINES)
        self._waiting = 0
        # When each turn has begun.
        self._began: dict[asyncio.Timeout, float] = {}

    async def begin(self, limit: asyncio.Timeout) -> None:
        if self._free.locked():
            await self._wait()
        else:
            await self._free.acquire()
        self._began[limit] = asyncio.get_running_loop().time()
        if self._waiting:
            self._limit_all()

    def end(self, limit: asyncio.Timeout) -> None:
        del self._began[limit]
        if not limit.expired():
            limit.reschedule(None)
        self._free.release()

    async def _wait(self) -> None:
        self._limit_all()
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1

    def _limit_all(self) -> None:
        for limit, began in self._began.items():
            if not limit.expired():
                limit.reschedule(began + LINE_SECONDS)


_turns_of: "Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns]]" = WeakKeyDictionary()
