"""A system whose callbacks may reach receivers on loopback."""

from collections.abc import Iterator

import pytest

from tests.support.receivers import Receiver, open_receiver
from tests.support.servers import Databases, Servers, redis_database
from tests.support.system import System, open_system

TO_LOOPBACK = {
    "CRIVO_CALLBACK_HTTP": "true",
    "CRIVO_CALLBACK_PRIVATE_NETWORKS": "127.0.0.0/8",
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with open_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def calling(
    databases: Databases, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """A system with the script `echo`, for the tests of a module."""
    with (
        databases.migrated() as database_url,
        redis_database(servers) as redis_url,
        open_system(
            database_url=database_url,
            redis_url=redis_url,
            folder=tmp_path_factory.mktemp("calling"),
        ) as system,
    ):
        system.environ |= TO_LOOPBACK
        system.start().upload("echo", "const process = data => data")
        yield system
