"""Fixtures: servers of the run, databases of an xdist worker, running systems."""

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop
from hypothesis import HealthCheck, settings as hypothesis_settings

from app.db import Pool, open_pool
from app.settings import Settings
from app.tenants.model import DEFAULT_TENANT
from tests.support.servers import Databases, Servers, redis_database, run_servers
from tests.support.system import System, open_system
from tests.support.system_with_keys import SystemWithKeys

pytest_plugins = ["tests.support.durations", "tests.support.slow_marker"]

# A deletion of few rows takes 2 ms, a TRUNCATE of all tables 150 ms, which only bloat is worth.
_EMPTY_ALL_TABLES = """
DO $$
DECLARE
    names text[];
    bytes bigint;
    name text;
BEGIN
    SELECT
        array_agg(quote_ident(tablename)),
        sum(pg_relation_size(quote_ident(tablename)::regclass))
    INTO names, bytes
    FROM pg_tables
    WHERE schemaname = 'public' AND tablename NOT IN ('alembic_version', 'tenants');
    IF bytes > 1024 * 1024 THEN
        EXECUTE 'TRUNCATE ' || array_to_string(names, ', ');
    END IF;
    FOREACH name IN ARRAY names || '{tenants}'::text[] LOOP
        EXECUTE 'DELETE FROM ' || name;
    END LOOP;
END
$$
"""

# How long an example takes, or its generation, depends on what else this machine does.
hypothesis_settings.register_profile(
    "crivo", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("crivo")

_EXIT = pytest.StashKey[ExitStack]()
_SERVERS = pytest.StashKey[Servers]()


# Tests use the event loop of API and worker.
def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


# The controller of xdist's workers starts the servers, once, from its main thread: they end
# with the thread that started them.
@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - xdist has no public type for it
    node.workerinput["servers"] = msgspec.to_builtins(_servers_of(node.config))


def pytest_unconfigure(config: pytest.Config) -> None:
    if _EXIT in config.stash:
        config.stash[_EXIT].close()


def _servers_of(config: pytest.Config) -> Servers:
    if _SERVERS not in config.stash:
        config.stash[_EXIT] = ExitStack()
        config.stash[_SERVERS] = config.stash[_EXIT].enter_context(run_servers())
    return config.stash[_SERVERS]


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Servers:
    """The servers of this run; without xdist they start on first use."""
    workerinput = getattr(request.config, "workerinput", None)
    if workerinput is None:
        return _servers_of(request.config)
    return msgspec.convert(workerinput["servers"], Servers)


@pytest.fixture(scope="session")
def databases(servers: Servers, worker_id: str) -> Databases:
    """Creates databases for this xdist worker."""
    return Databases(servers, worker_id)


@pytest.fixture(scope="session")
def database_url(databases: Databases) -> Iterator[str]:
    """The database of this xdist worker; `pool` cleans it before each test."""
    with databases.migrated() as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(servers: Servers) -> Iterator[str]:
    """The Redis database of this xdist worker."""
    with redis_database(servers) as url:
        yield url


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Settings for the worker's databases, with folders of the test."""
    return Settings(
        database_url=database_url,
        redis_url=redis_url,
        data=str(tmp_path / "data"),
        blob_url=(tmp_path / "blobs").as_uri(),
    )


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[Pool]:
    """A pool on the worker's database, in the state of a fresh installation."""
    async with open_pool(settings) as pool:
        async with pool.acquire() as connection, connection.transaction():
            # Without triggers: the audit log refuses deletion.
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute(_EMPTY_ALL_TABLES)
            await connection.execute(
                "INSERT INTO tenants (id, name) VALUES ($1, 'default')", DEFAULT_TENANT
            )
        yield pool


@pytest.fixture
def empty_database_url(databases: Databases) -> Iterator[str]:
    """An empty database for one test."""
    with databases.empty() as url:
        yield url


@pytest.fixture
def fresh_urls(databases: Databases, servers: Servers) -> Iterator[tuple[str, str]]:
    """A migrated database and a Redis database for one test."""
    with databases.migrated() as database_url, redis_database(servers) as redis_url:
        yield database_url, redis_url


@pytest.fixture(scope="session")
def system(
    databases: Databases, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """One API and one worker for all tests of this xdist worker; scripts are per test."""
    folder = tmp_path_factory.mktemp("system")
    with (
        databases.migrated() as database_url,
        redis_database(servers) as redis_url,
        open_system(database_url=database_url, redis_url=redis_url, folder=folder) as running,
    ):
        yield running.start()


@pytest.fixture(scope="session")
def keyed(
    databases: Databases, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SystemWithKeys]:
    """A system that requires keys, with an admin key; tenants are per test."""
    folder = tmp_path_factory.mktemp("keyed")
    with (
        databases.migrated() as database_url,
        redis_database(servers) as redis_url,
        open_system(database_url=database_url, redis_url=redis_url, folder=folder) as running,
    ):
        yield SystemWithKeys(running).start()


@pytest.fixture
def stopped_system(fresh_urls: tuple[str, str], tmp_path: Path) -> Iterator[System]:
    """A system for one test on an empty database, not started yet, which the test may kill."""
    database_url, redis_url = fresh_urls
    with open_system(database_url=database_url, redis_url=redis_url, folder=tmp_path) as system:
        yield system
