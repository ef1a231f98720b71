"""Fixtures of dead letters."""

import pytest

from app.db import Pool
from tests.dead_letters.letters import Letters, insert_pipe


@pytest.fixture
async def letters(pool: Pool) -> Letters:
    """A pipe without letters."""
    async with pool.acquire() as conn:
        return Letters(pool, await insert_pipe(conn))
