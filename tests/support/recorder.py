"""Wait for what callbacks record, and cut the connections that call them."""

import asyncio
from collections.abc import Callable
from typing import Final

from app.db import Pool

_TIMEOUT_SECONDS: Final = 30


class Recorder:
    """Records something in callbacks; a test waits for a condition on it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def changed(self) -> None:
        """Check the conditions again."""
        self._event.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            while not condition():
                self._event.clear()
                await self._event.wait()


async def terminate_connections(pool: Pool, application_name: str) -> None:
    """End the connections of that name, except the one that does it."""
    await pool.execute(
        """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = $1
        """,
        application_name,
    )
