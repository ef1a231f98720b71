"""Fixtures of tests of waiting readers."""

from collections.abc import AsyncIterator

import pytest

from app.db import Pool
from app.resources import Resources, open_resources
from app.settings import Settings
from tests.support.queues import Queues


@pytest.fixture
def queues(pool: Pool) -> Queues:
    return Queues(pool)


@pytest.fixture
async def resources(settings: Settings) -> AsyncIterator[Resources]:
    async with open_resources(settings, cells=1) as resources:
        yield resources
