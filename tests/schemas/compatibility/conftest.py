"""One pool for the tests that ask the validator."""

from collections.abc import AsyncIterator

import pytest_asyncio

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.pool import SandboxPool, open_pool


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[SandboxPool]:
    async with open_pool(PoolConfig(cells=1, warm=1)) as opened:
        yield opened
