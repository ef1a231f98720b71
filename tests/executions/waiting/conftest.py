"""Fixtures of tests of waiting readers."""

from collections.abc import AsyncIterator, Iterator

import pytest

from app.db import Pool
from app.resources import Resources, open_resources
from app.settings import Settings
from tests.executions.waiting.idle_systems import start_idle
from tests.support.queues import Queues
from tests.support.servers import Databases, Servers, redis_database
from tests.support.system import System, open_system


@pytest.fixture
def queues(pool: Pool) -> Queues:
    return Queues(pool)


@pytest.fixture
async def resources(settings: Settings) -> AsyncIterator[Resources]:
    async with open_resources(settings, cells=1) as resources:
        yield resources


@pytest.fixture(scope="module")
def idle(
    databases: Databases, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """An API without a worker, for the tests of a module: executions stay queued."""
    folder = tmp_path_factory.mktemp("idle")
    with (
        databases.migrated() as database_url,
        redis_database(servers) as redis_url,
        open_system(database_url=database_url, redis_url=redis_url, folder=folder) as system,
    ):
        yield start_idle(system)
