"""A running system for the tests that only talk to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.system import System, open_system


@pytest.fixture(scope="session")
def system(
    acceptance_urls: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """One API and one worker for all tests of this xdist worker; each has its own scripts."""
    database_url, redis_url = acceptance_urls
    folder = tmp_path_factory.mktemp("system")
    with open_system(database_url=database_url, redis_url=redis_url, folder=folder) as running:
        yield running.start()


@pytest.fixture
def stopped_system(fresh_urls: tuple[str, str], tmp_path: Path) -> Iterator[System]:
    """A system of the test's own, on an empty database, not started yet: to be killed at will."""
    database_url, redis_url = fresh_urls
    with open_system(database_url=database_url, redis_url=redis_url, folder=tmp_path) as system:
        yield system
