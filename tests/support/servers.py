"""PostgreSQL and Redis for a test run: given servers, else containers, else embedded ones."""

import asyncio
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlencode

import asyncpg
import redis
from msgspec import Struct
from sqlalchemy import make_url

from app.embedded.servers import embedded_servers

ROOT: Final = Path(__file__).parents[2]

# Marks a Redis database as used by a test run; the mark of a killed run expires after an hour.
_MARK: Final = "crivo:test-run"
_MARK_SECONDS: Final = 3_600
# Above what any one test takes.
_PATIENCE_SECONDS: Final = 120.0


class Servers(Struct, frozen=True, kw_only=True):
    """URLs of the servers of this run, and the prefix of its databases."""

    database_url: str
    redis_url: str
    prefix: str

    @property
    def template(self) -> str:
        """The migrated database that others are copied from."""
        return f"{self.prefix}_template"


@contextmanager
def run_servers() -> Iterator[Servers]:
    """Provide both servers and a migrated template; drop all databases of the run at the end."""
    with ExitStack() as stack:
        database_url, redis_url = _urls(stack)
        prefix = f"crivo_test_{secrets.token_hex(4)}"
        servers = Servers(database_url=database_url, redis_url=redis_url, prefix=prefix)
        stack.callback(_drop_all, servers)
        execute(database_url, f'CREATE DATABASE "{servers.template}"')
        alembic(with_database(database_url, servers.template), "upgrade", "head")
        yield servers


def _urls(stack: ExitStack) -> tuple[str, str]:
    database_url = os.environ.get("DATABASE_URL", "")
    redis_url = os.environ.get("REDIS_URL", "")
    if database_url and redis_url:
        return database_url, redis_url
    if _docker_answers():
        try:
            return database_url or _postgres_container(stack), redis_url or _redis_container(stack)
        except Exception as error:  # noqa: BLE001 - no image, no room: whatever it is, there are others
            sys.stderr.write(
                "tests: an engine answers, and gives no containers; the embedded servers take "
                f"their place: {str(error) or type(error).__name__}\n"
            )
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="crivo-test-"))
    embedded = stack.enter_context(embedded_servers(Path(folder), durable=False))
    return database_url or embedded.database_url, redis_url or embedded.redis_url


def _docker_answers() -> bool:
    # In its own process: the client leaks sockets if nothing answers.
    ping = "import docker; docker.from_env(timeout=2).ping()"
    return (
        subprocess.run(
            [sys.executable, "-c", ping], check=False, stderr=subprocess.DEVNULL
        ).returncode
        == 0
    )


def _postgres_container(stack: ExitStack) -> str:
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415 - slow to import, and often not needed

    container = PostgresContainer("postgres:18", driver=None)
    container.with_command("postgres -c fsync=off -c max_connections=200")
    return str(stack.enter_context(container).get_connection_url())


def _redis_container(stack: ExitStack) -> str:
    from testcontainers.community.redis import RedisContainer  # noqa: PLC0415 - as above

    container = stack.enter_context(RedisContainer("redis:8"))
    return f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}"


def alembic(database_url: str, *arguments: str) -> None:
    """Run Alembic."""
    subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        check=True,
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url},
    )


class Databases:
    """Creates and drops databases of this run for one xdist worker."""

    def __init__(self, servers: Servers, worker: str) -> None:
        self._servers = servers
        self._worker = worker
        self._numbers = count(1)

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """Yield the URL of a copy of the template."""
        with self._database(self._servers.template) as url:
            yield url

    @contextmanager
    def empty(self) -> Iterator[str]:
        """Yield the URL of an empty database."""
        with self._database("template0") as url:
            yield url

    @contextmanager
    def _database(self, template: str) -> Iterator[str]:
        admin = self._servers.database_url
        name = f"{self._servers.prefix}_{self._worker}_{next(self._numbers)}"
        execute(admin, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield with_database(admin, name)
        finally:
            # Forced: the connection of a killed process may still be open.
            execute(admin, f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def redis_database(servers: Servers) -> Iterator[str]:
    """Claim an empty database of the Redis server, and empty it afterwards.

    Existing data is never touched, and concurrent runs use different databases. While all are in
    use, it waits: most are used by one test.
    """
    end = time.monotonic() + _PATIENCE_SECONDS
    while (url := _claim_redis(servers)) is None:
        if time.monotonic() > end:
            message = "every database of the Redis server is in use"
            raise RuntimeError(message)
        time.sleep(0.1)  # pauses between two attempts
    try:
        yield url
    finally:
        with closing(redis.Redis.from_url(url)) as client:
            client.flushdb()


def _claim_redis(servers: Servers) -> str | None:
    """Mark the first empty database as used; None if there is none."""
    for number in count(1):
        url = with_redis_number(servers.redis_url, number)
        with closing(redis.Redis.from_url(url)) as client:
            try:
                claimed = client.set(_MARK, servers.prefix, nx=True, ex=_MARK_SECONDS)
            except redis.ResponseError:
                # The server has no database of this number.
                return None
            if claimed and client.dbsize() == 1:
                return url
            if claimed:
                client.delete(_MARK)
    return None


def with_database(url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def with_redis_number(url: str, number: int) -> str:
    """Return the URL of another database of the same Redis server."""
    address, _, query = url.partition("?")
    return f"{address}?{urlencode({**dict(parse_qsl(query)), 'db': str(number)})}"


def execute(url: str, *statements: str) -> None:
    """Run statements on a new connection."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def _drop_all(servers: Servers) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(servers.database_url)
        try:
            names = await connection.fetch(
                "SELECT datname FROM pg_database WHERE starts_with(datname::text, $1)",
                servers.prefix,
            )
            for (name,) in names:
                await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        finally:
            await connection.close()

    asyncio.run(run())
