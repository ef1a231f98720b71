"""A pool for each test: two cells at once, one ready."""

from collections.abc import AsyncIterator

import pytest

from app.sandbox.cell_pool import PoolConfig
from app.sandbox.pool import SandboxPool, open_pool


@pytest.fixture
async def pool() -> AsyncIterator[SandboxPool]:
    async with open_pool(PoolConfig(cells=2, warm=1)) as opened:
        yield opened
