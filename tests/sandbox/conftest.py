"""A pool for the tests of a module: two cells at once, one ready.

A script meets the cells of the scripts before it, as it does in a worker; a test that breaks its
pool opens one of its own.
"""

from collections.abc import AsyncIterator

import pytest_asyncio

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.pool import SandboxPool, open_pool


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[SandboxPool]:
    async with open_pool(PoolConfig(cells=2, warm=1)) as opened:
        yield opened
